"""Makes the small model of the tests, and what independent tools make of it.

    pip install onnx onnxruntime tokenizers numpy
    python make-onnx-model.py

A table of token vectors and one dense layer with tanh: small, but a real ONNX sentence model with a
WordPiece tokenizer. `expected.json` holds vectors from onnxruntime and tokenizers (the originals),
pooled here by numpy.
"""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime
import tokenizers
from onnx import TensorProto, helper, numpy_helper

folder = pathlib.Path(__file__).parent / "onnx-model"
(folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
DIMENSIONS = 16

words = "the a of and is in harbour violin orchard lantern glacier pepper saddle ribbon compass walnut".split()
pieces = ["##s", "##ed", "##ing", "light", "##house", "##ing", "."]
vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + list(dict.fromkeys(words + pieces))
tokenizer = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [
        {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for i, token in enumerate(vocabulary[:4])
    ],
    "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                   "strip_accents": None, "lowercase": True},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
        "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                 {"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
                 {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
        "special_tokens": {
            "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
            "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
        },
    },
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 100, "vocab": {token: i for i, token in enumerate(vocabulary)}},
}
(folder / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1) + "\n")
(folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}) + "\n")
(folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 12}) + "\n")
(folder / "1_Pooling" / "config.json").write_text(
    json.dumps({"word_embedding_dimension": DIMENSIONS, "pooling_mode_cls_token": False,
                "pooling_mode_mean_tokens": True}) + "\n")

random = np.random.default_rng(7)
table = random.normal(size=(len(vocabulary), DIMENSIONS)).astype(np.float32)
dense = (random.normal(size=(DIMENSIONS, DIMENSIONS)) / 4).astype(np.float32)
inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"])
          for name in ("input_ids", "attention_mask", "token_type_ids")]
output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["texts", "tokens", DIMENSIONS])
graph = helper.make_graph(
    [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        # Attention of the simplest kind: each token sees the mean of its text.
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["vectors", "column"], ["own"]),
        helper.make_node("ReduceSum", ["own", "tokens_axis"], ["sum"], keepdims=1),
        helper.make_node("ReduceSum", ["column", "tokens_axis"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
        helper.make_node("Add", ["vectors", "mean"], ["seen"]),
        helper.make_node("MatMul", ["seen", "dense"], ["mixed"]),
        helper.make_node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["types", "last"], ["types_column"]),
        helper.make_node("Add", ["mixed", "types_column"], ["typed"]),
        helper.make_node("Tanh", ["typed"], ["last_hidden_state"]),
    ],
    "sentences", inputs, [output],
    [numpy_helper.from_array(table, "table"), numpy_helper.from_array(dense, "dense"),
     numpy_helper.from_array(np.array([2], dtype=np.int64), "last"),
     numpy_helper.from_array(np.array([1], dtype=np.int64), "tokens_axis")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, folder / "model.onnx")

texts = ["The harbour.", "A lighthouse and a violin", "", "WALNUT walnuts, walnuting",
         "pepper unknowable ribbon", "the compass of the orchard is in the glacier and the lantern is lighting a saddle"]
encoder = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
encoder.enable_truncation(12)
encoder.enable_padding(pad_id=0, pad_token="[PAD]")
encoded = encoder.encode_batch(texts)
ids = np.array([one.ids for one in encoded], dtype=np.int64)
mask = np.array([one.attention_mask for one in encoded], dtype=np.int64)
session = onnxruntime.InferenceSession(folder / "model.onnx")
(states,) = session.run(None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})
weights = mask[:, :, None].astype(np.float64)
mean = (states * weights).sum(axis=1) / weights.sum(axis=1)
expected = [{"text": text, "vector": [round(float(v), 6) for v in vector]} for text, vector in zip(texts, mean)]
(folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
