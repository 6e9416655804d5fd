"""The messages of the rules about loads, and the values they depend on."""

from __future__ import annotations

import pytest

import telepathy_lint
from telepathy_lint import engine
from telepathy_lint import rules as registry
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source

HEAD = "import numpy, torch\nfrom transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer\n"


def said(code: str, rule: str, target: str | None = None) -> list[str]:
    """The messages of a rule with `strict`, in the order of the text."""
    source = Source("script.py", (HEAD + code).encode())
    found = engine.lint(source, registry.select([rule]), Settings(target_transformers=target, strict=True))
    return [one.message for one in found]


def load(arguments: str) -> str:
    return f'AutoModel.from_pretrained("x"{arguments and ", "}{arguments})\n'


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (load('device_map="auto"'), "'auto'"),
        (load("device_map={'': 0}"), "{'': 0}"),
        (load("device_map=dict(lm_head=0)"), "dict(lm_head=0)"),
        (load("device_map=None if x else 'auto'"), "'auto'"),
        (load("device_map='auto' if x else None"), "'auto'"),
        (load("device_map='cuda' if x else 'cpu'"), "'cuda'"),
        ("WHERE = 'auto'\n" + load("device_map=WHERE"), "'auto', from WHERE, line 3"),
        ("KWARGS = {'device_map': 'auto'}\n" + load("**KWARGS"), "'auto', from KWARGS, line 3"),
        (load("device_map={'a': 'b', 'cccccccccccccccccccccccc': 'ddddddddd', 'e': 1}"), "{'a': 'b', 'cccccccccccccccccccccccc': 'ddddd..."),
    ],
)  # fmt: skip
def test_a_device_map_is_shown_with_its_origin(code: str, message: str) -> None:
    assert said(code, "TLP101") == [f"device_map is hard-coded: {message}"]


@pytest.mark.parametrize(
    "code",
    [
        load("device_map=None"),
        load("device_map=x"),
        load("device_map=x if y else 'auto'"),
        "devices = {}\nfor i in range(n):\n    devices[i] = i\n" + load("device_map=devices"),
        "devices = dict()\nfor i in range(n):\n    devices[i] = i\n" + load("device_map=devices"),
    ],
)
def test_a_device_map_that_is_not_written_out_is_not_reported(code: str) -> None:
    assert not said(code, "TLP101")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, "transformers 4.x loads float32, 5.x follows the checkpoint's config"),
        ("4.57", "transformers 4.57 loads float32, 5.x follows the checkpoint's config"),
        (">=4.57,<5", "transformers 4.57 loads float32"),
        ("5.0", "transformers 5.0 follows the checkpoint's config"),
        ("5.1", "transformers 5.1 follows the checkpoint's config"),
    ],
)
def test_a_missing_dtype_says_what_the_version_does(target: str | None, message: str) -> None:
    assert said(load(""), "TLP102", target) == [f"dtype is not set: {message}"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            None,
            "a pipeline of transformers before 4.53 loads float32, a newer one follows the checkpoint's config",
        ),
        (
            "4.40",
            "a pipeline of transformers before 4.53 loads float32, a newer one follows the checkpoint's config",
        ),
        (
            ">=4.40,<5",
            "a pipeline of transformers before 4.53 loads float32, a newer one follows the checkpoint's config",
        ),
        (">=4.53,<5", "transformers 4.53 follows the checkpoint's config"),
        ("5.0", "transformers 5.0 follows the checkpoint's config"),
    ],
)
def test_a_pipeline_without_a_dtype_says_what_the_version_does(target: str | None, message: str) -> None:
    code = "from transformers import pipeline\npipe = pipeline('text-generation', model='acme/chat')\n"
    assert said(code, "TLP102", target) == [f"dtype is not set: {message}"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, "transformers 4.x loads float32 (28.4 GiB instead of 14.2 for Qwen2.5-7B), 5.x follows the checkpoint's config"),
        ("4.57", "transformers 4.57 loads float32 (28.4 GiB instead of 14.2 for Qwen2.5-7B), 5.x follows the checkpoint's config"),
        (">=4.57,<5", "transformers 4.57 loads float32: 28.4 GiB instead of 14.2 for Qwen2.5-7B"),
        ("5.0", "transformers 5.0 follows the checkpoint's config"),
    ],
)  # fmt: skip
def test_a_missing_dtype_says_what_it_costs_where_the_model_is_known(
    target: str | None, message: str
) -> None:
    code = 'AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-7B")\n'
    assert said(code, "TLP102", target) == [f"dtype is not set: {message}"]


def test_float32_says_what_it_costs_by_any_id_of_the_model() -> None:
    code = 'AutoModelForCausalLM.from_pretrained("meta-llama/Meta-Llama-3.1-8B", dtype={})\n'
    cost = "29.9 GiB instead of 15.0 for Meta-Llama-3.1-8B"
    assert said(code.format("torch.float32"), "TLP103") == [f"dtype is not bfloat16: float32: {cost}"]
    assert said(code.format("torch.float16"), "TLP103") == ["dtype is not bfloat16: float16"]


@pytest.mark.parametrize(
    "code",
    [
        'AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-7B", load_in_4bit=True)\n',
        'AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-7B", quantization_config=x)\n',
        'AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-7B-Instruct-AWQ")\n',
        'AutoModel.from_pretrained("Qwen/Qwen2.5-7B")\n',  # without its head it is smaller
    ],
)
def test_no_cost_is_said_where_it_would_be_another(code: str) -> None:
    assert "GiB" not in said(code, "TLP102")[0]


def test_the_attention_that_transformers_picks_is_named_where_the_class_is_known() -> None:
    transformers = pytest.importorskip("transformers")
    code = 'AutoModelForCausalLM.from_pretrained("mistralai/Mistral-7B-v0.3")\n'
    assert said(code, "TLP104") == [
        "attn_implementation is not set: transformers picks sdpa for Mistral-7B-v0.3"
    ]
    from telepathy_runtime.models.families import families

    assert {each.name for each in families()} == {"llama-3", "mistral-7b", "qwen2.5"}
    for name in ("Llama", "Mistral", "Qwen2"):
        config = getattr(transformers, f"{name}Config")(
            hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=16
        )
        model = transformers.AutoModelForCausalLM.from_config(config)
        assert model.config._attn_implementation == "sdpa"


def test_the_cost_of_float32_is_said_only_where_it_costs() -> None:
    """A float32 checkpoint has no additional cost; an unknown one has no numbers."""
    code = "from transformers import AutoModelForCausalLM\nm = AutoModelForCausalLM.from_pretrained('{}')\n"
    (half,) = telepathy_lint.lint(code.format("Qwen/Qwen2.5-7B"), select=["TLP102"])
    assert "(28.4 GiB instead of 14.2 for Qwen2.5-7B)" in half.message
    for name in ("EleutherAI/gpt-j-6b", "someone/unknown-7b"):
        (plain,) = telepathy_lint.lint(code.format(name), select=["TLP102"])
        assert "GiB" not in plain.message, name


@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [
        ("dtype=torch.float16", "float16"),
        ("torch_dtype=torch.half", "half"),
        ("dtype='auto'", "auto"),
        ("dtype='torch.float32'", "float32"),
        ("dtype=torch.float16 if x else None", "float16"),
        ("dtype=None if x else torch.float16", "float16"),
        ("dtype=torch.float16 if x else torch.float32", "float16"),
        ("dtype=torch.float16, torch_dtype=torch.float32", "float16"),
    ],
)
def test_a_dtype_is_named(arguments: str, dtype: str) -> None:
    assert said(load(arguments), "TLP103") == [f"dtype is not bfloat16: {dtype}"]


@pytest.mark.parametrize(
    "arguments",
    [
        "dtype=torch.bfloat16",
        "dtype='bfloat16'",
        "dtype='bf16'",
        "dtype='torch.bfloat16'",
        "dtype=None",
        "dtype=16",
        "dtype=numpy.float16",
        "dtype=torch.something",
        "dtype=x.float16",
        "dtype=torch.bfloat16 if x else torch.float16",
        "dtype=torch.float16, torch_dtype=torch.bfloat16",
    ],
)
def test_a_dtype_that_is_fine_or_not_known_is_not_reported(arguments: str) -> None:
    assert not said(load(arguments), "TLP103")


def test_what_is_absent_is_said() -> None:
    generative = 'AutoTokenizer.from_pretrained("x")\nAutoModelForCausalLM.from_pretrained("x")\n'
    assert said(generative, "TLP104") == [
        "attn_implementation is not set: transformers picks sdpa or eager, depending on the class and the release"
    ]
    assert said(generative, "TLP105") == [
        "no generation config is set: decoding depends on the checkpoint's own settings"
    ]
    assert said(generative, "TLP201") == ["the tokenizer's pad token is never set"]


@pytest.mark.parametrize("word", ["print(out.attentions)", "model(x, output_attentions=True)"])
def test_either_word_shows_that_attention_is_read(word: str) -> None:
    source = Source("script.py", f"{HEAD}{load('')}{word}\n".encode())
    (found,) = engine.lint(source, registry.select(["TLP104"]), Settings(strict=True))
    assert found.fix is not None and found.fix.safety == "unsafe"


def test_one_of_two_tokenizer_classes_without_a_pad_token_is_enough() -> None:
    code = (
        "from transformers import GPT2Tokenizer, T5Tokenizer\n"
        "kind = T5Tokenizer if x else GPT2Tokenizer\nkind.from_pretrained(y)\nAutoModelForCausalLM.from_pretrained(y)\n"
    )
    assert said(code, "TLP201") == ["the tokenizer's pad token is never set"]
    assert not said(code.replace("T5Tokenizer if x else GPT2Tokenizer", "T5Tokenizer"), "TLP201")


@pytest.mark.parametrize(
    ("rule", "argument"), [("TLP101", "device_map='auto'"), ("TLP103", "dtype=torch.float16")]
)
def test_what_a_wrapper_writes_is_reported_there_alone(rule: str, argument: str) -> None:
    wrapper = f"def load(name, **kwargs):\n    return AutoModel.from_pretrained(name, {argument}, **kwargs)\n"
    assert len(said(f"{wrapper}load('x', revision='r')\nload('y')\n", rule)) == 1


@pytest.mark.parametrize(
    ("argument", "advice"),
    [
        ("load_in_4bit=True", "pass quantization_config=BitsAndBytesConfig(...)"),
        ("load_in_4bit=FOUR", "pass quantization_config=BitsAndBytesConfig(...)"),
        ("load_in_4bit=False", "remove it"),
        ("from_tf=True", "convert the checkpoint with transformers 4 first"),
        ("from_tf=False", "remove it"),
        ("use_flash_attention_2=False", "remove it"),
        ("use_auth_token=False", "use token"),
    ],
)
def test_a_switch_that_is_off_is_only_to_be_left_out(argument: str, advice: str) -> None:
    (message,) = said(load(argument), "TLP107", target="5.0")
    assert message.endswith(f": {advice}")


def test_what_is_known_of_a_checkpoints_decoding_is_said() -> None:
    code = 'AutoModelForCausalLM.from_pretrained("{}")\n'
    (llama,) = said(code.format("meta-llama/Llama-3.1-8B-Instruct"), "TLP105")
    assert "Llama-3.1-8B-Instruct ships do_sample=True, temperature 0.6 and top_p 0.9" in llama
    (other,) = said(code.format("acme/llm"), "TLP105")
    assert "ships" not in other


@pytest.mark.parametrize(
    ("device_map", "cost"),
    [
        ('"auto"', "each process of a launcher would use every GPU"),
        ('{"": 0}', "all processes of a launcher would share GPU 0"),
        ('"cuda:1"', "all processes of a launcher would share GPU 1"),
        ('{"a": 0, "b": 1}', ""),
    ],
)
def test_what_a_map_does_in_each_process_is_said_where_a_launcher_is_in_sight(
    device_map: str, cost: str
) -> None:
    load = f'AutoModelForCausalLM.from_pretrained("gpt2", device_map={device_map})\n'
    assert said(load, "TLP101")[0].endswith(device_map.replace('"', "'"))
    (message,) = said(f'import os\nos.environ["LOCAL_RANK"]\n{load}', "TLP101")
    assert message.endswith(cost or device_map.replace('"', "'"))


def test_quantized_weights_are_not_said_to_load_float32() -> None:
    (message,) = said('AutoModelForCausalLM.from_pretrained("gpt2", load_in_4bit=True)\n', "TLP102")
    assert "float32" not in message
    assert "float16" in message
