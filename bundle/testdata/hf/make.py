"""Tiny random models as the exporters of Hugging Face leave them, and what Python's pipelines answer for them.

    make.py DIR          all of them into DIR, for `make hf-test`
    make.py --small DIR  those that lie beside this file, for the tests of Go

Runs with requirements.txt beside it. answers.json tells of each folder what was asked and answered; pixels.json has what
image processors make of the pictures.
"""

import base64
import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
import transformers as tf
from optimum.exporters.onnx import main_export
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers.implementations import ByteLevelBPETokenizer

warnings.filterwarnings("ignore")
tf.logging.set_verbosity_error()
TEXTS = ["good movie!", "a bad bad product, is it?", "Хороший ФИЛЬМ", "good", "the movie is good . " * 12]
WORDS = ("[PAD] [UNK] [CLS] [SEP] [MASK] good bad the movie is ##s a ! ? , . product it хорошии фильм х ##о ##р ##и f ##i ##l Хороший "
         "ФИЛЬМ й").split()
SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 40}
STARS = {i: f"{i + 1} star" + ("s" if i else "") for i in range(5)}


def seeded(make):
    torch.manual_seed(7)
    model = make().eval()
    with torch.no_grad():
        for p in model.parameters():  # the usual beginning is so small that every answer is alike
            p.normal_(0, 0.5)
        for module in model.modules():  # as training leaves the row of padding
            if isinstance(module, torch.nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx] = 0
    return model


def vocabulary(folder):
    path = folder / "vocab.txt"
    path.write_text("\n".join(WORDS) + "\n")
    return path


def word_piece(cls, **options):
    return lambda folder: cls(vocab_file=str(vocabulary(folder)), **options)


def byte_level(folder):
    t = ByteLevelBPETokenizer()
    t.train_from_iterator(TEXTS * 3, vocab_size=300, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], show_progress=False)
    t.save_model(str(folder))
    return tf.RobertaTokenizerFast(vocab_file=str(folder / "vocab.json"), merges_file=str(folder / "merges.txt"))


def unigram(folder):
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.NFKC()
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.train_from_iterator(TEXTS * 3, trainers.UnigramTrainer(vocab_size=60, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>",
                                                             show_progress=False))
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tf.XLMRobertaTokenizerFast(tokenizer_object=t, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")


def text_models():
    """Name → tokenizer, model, what is done to the folder then."""
    def bert(config=tf.BertConfig, model=tf.BertForSequenceClassification, **options):
        options = {"vocab_size": len(WORDS), **SMALL, **options}
        return lambda size: model(config(**options))

    def roberta(config, model, **options):
        options = {**SMALL, "max_position_embeddings": 42, "type_vocab_size": 1, "pad_token_id": 1, **options}
        return lambda size: model(config(vocab_size=size, **options))

    def distil(**options):
        return lambda size: tf.DistilBertForSequenceClassification(tf.DistilBertConfig(
            vocab_size=size, dim=8, n_layers=1, n_heads=2, hidden_dim=8, max_position_embeddings=40, **options))

    polar = {0: "negative", 1: "neutral", 2: "positive"}
    return {
        "bert": (word_piece(tf.BertTokenizerFast), bert(num_labels=3), []),
        "bert_stars": (word_piece(tf.BertTokenizerFast, do_lower_case=False), bert(id2label=STARS, label2id={}), ["onnx"]),
        "bert_russian": (word_piece(tf.BertTokenizerFast), bert(id2label={0: "НЕЙТРАЛЬНО", 1: "Положительный", 2: "негатив"}, label2id={}), []),
        "bert_default": (word_piece(tf.BertTokenizerFast), bert(), []),
        "bert_regression": (word_piece(tf.BertTokenizerFast), bert(num_labels=1, problem_type="regression"), []),
        "bert_one": (word_piece(tf.BertTokenizerFast), bert(num_labels=1), []),
        "bert_softmax": (word_piece(tf.BertTokenizerFast), bert(num_labels=3), ["softmax"]),
        "bert_optimised": (word_piece(tf.BertTokenizerFast), bert(id2label=polar, label2id={}, hidden_size=16), ["optimise"]),
        "bert_half": (word_piece(tf.BertTokenizerFast), bert(num_labels=3), ["half"]),
        "distilbert": (word_piece(tf.DistilBertTokenizerFast), distil(
            id2label={0: "spam", 1: "offer", 2: "news"}, label2id={}, problem_type="multi_label_classification"), ["vocab.txt"]),
        "roberta": (byte_level, roberta(tf.RobertaConfig, tf.RobertaForSequenceClassification, id2label=polar, label2id={}), ["vocab.json"]),
        "xlm_roberta": (unigram, roberta(tf.XLMRobertaConfig, tf.XLMRobertaForSequenceClassification, id2label={0: "neg", 1: "pos"}, label2id={}), []),
        "electra": (word_piece(tf.ElectraTokenizerFast), bert(tf.ElectraConfig, tf.ElectraForSequenceClassification, embedding_size=8, num_labels=4), []),
        "mobilebert": (word_piece(tf.MobileBertTokenizerFast), bert(
            tf.MobileBertConfig, tf.MobileBertForSequenceClassification, embedding_size=8, true_hidden_size=8, intra_bottleneck_size=8,
            num_feedforward_networks=1, num_labels=2), []),
    }


def check_weights(path, change):
    graph = onnx.load(path)
    change(graph.graph)
    onnx.save(graph, path)


def softmax(graph):
    """A graph that ends in the activation."""
    for node in graph.node:
        node.output[:] = ["scores" if o == "logits" else o for o in node.output]
    graph.node.append(onnx.helper.make_node("Softmax", ["scores"], ["logits"], axis=-1))


def optimise(out):
    """The operators of com.microsoft, under another name."""
    from onnxruntime.transformers.optimizer import optimize_model
    optimize_model(str(out / "model.onnx"), model_type="bert", num_heads=2, hidden_size=16, opt_level=1).save_model_to_file(
        str(out / "model_optimized.onnx"))
    graph = onnx.load(out / "model_optimized.onnx")
    assert any(node.domain == "com.microsoft" for node in graph.graph.node)
    (out / "model.onnx").unlink()


def half(out):
    from onnxruntime.transformers.float16 import convert_float_to_float16
    graph = convert_float_to_float16(onnx.load(out / "model.onnx"))
    assert graph.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
    onnx.save(graph, out / "model.onnx")


def strip(out, keep):
    """What an older exporter leaves: no tokenizer.json."""
    (out / "tokenizer.json").unlink()
    assert (out / keep).exists()


def change(out, steps):
    for step in steps:
        if step == "onnx":
            (out / "onnx").mkdir(exist_ok=True)
            (out / "model.onnx").rename(out / "onnx/model.onnx")
        elif step == "softmax":
            check_weights(out / "model.onnx", softmax)
        elif step in ("optimise", "half"):
            globals()[step](out)
        else:
            strip(out, step)


def slim(out):
    """Takes what only makes the files larger out of graphs."""
    for path in out.rglob("*.onnx"):
        graph = onnx.load(path)
        for node in graph.graph.node:
            node.doc_string = ""
            node.name = ""
            del node.metadata_props[:]
        del graph.graph.value_info[:]
        onnx.save(graph, path)


def export(source, out, task):
    shutil.rmtree(out, ignore_errors=True)
    main_export(str(source), output=str(out), task=task, do_validation=False, no_post_process=True)


def numbers(t):
    return [[float(np.float32(v)) for v in row] for row in np.asarray(t, dtype=np.float32)]


def classify(dir, work, name):
    make_tokenizer, make_model, steps = text_models()[name]
    source = work / name
    source.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(source)
    tokenizer.save_pretrained(source)
    model = seeded(lambda: make_model(len(tokenizer)))
    model.save_pretrained(source)
    export(source, dir / name, "text-classification")
    change(dir / name, steps)
    slim(dir / name)
    classifier = tf.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    longest = 40
    with torch.no_grad():
        logits = [model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=longest)).logits[0] for text in TEXTS]
    if "softmax" in steps:
        logits = [l.softmax(-1) for l in logits]
    scores = [{s["label"]: s["score"] for s in classifier(text, top_k=None, truncation=True, max_length=longest)} for text in TEXTS]
    return {"kind": "text", "texts": TEXTS, "logits": numbers(torch.stack(logits)), "scores": scores,
            "tolerance": 0.02 if "half" in steps else 1e-4}


def embed(dir, work, name, mode, normalize, prompt=""):
    """A folder as sentence-transformers writes it; its Python is the mean of a few lines of numpy."""
    source = work / name
    source.mkdir(parents=True, exist_ok=True)
    tokenizer = word_piece(tf.BertTokenizerFast)(source)
    tokenizer.save_pretrained(source)
    model = seeded(lambda: tf.BertModel(tf.BertConfig(vocab_size=len(WORDS), **SMALL)))
    model.save_pretrained(source)
    out = dir / name
    export(source, out, "feature-extraction")
    (out / "onnx").mkdir(exist_ok=True)
    (out / "model.onnx").rename(out / "onnx/model.onnx")
    slim(out)
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    if normalize:
        modules.append({"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"})
    (out / "modules.json").write_text(json.dumps(modules, indent=2))
    (out / "1_Pooling").mkdir(exist_ok=True)
    modes = {f"pooling_mode_{m}": m == mode for m in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")}
    (out / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": 8, **modes, "include_prompt": True}, indent=2))
    (out / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 24, "do_lower_case": False}, indent=2))
    (out / "config_sentence_transformers.json").write_text(json.dumps(
        {"prompts": {"query": prompt} if prompt else {}, "default_prompt_name": "query" if prompt else None, "similarity_fn_name": "cosine"}, indent=2))
    vectors = []
    for text in TEXTS:
        with torch.no_grad():
            tokens = model(**tokenizer(prompt + text, return_tensors="pt", truncation=True, max_length=24)).last_hidden_state[0].numpy()
        n, weights = len(tokens), np.arange(1, len(tokens) + 1)[:, None]
        v = {"cls_token": tokens[0], "mean_tokens": tokens.mean(0), "max_tokens": tokens.max(0), "mean_sqrt_len_tokens": tokens.sum(0) / np.sqrt(n),
             "weightedmean_tokens": (tokens * weights).sum(0) / weights.sum(), "lasttoken": tokens[-1]}[mode]
        vectors.append(v / np.linalg.norm(v) if normalize else v)
    return {"kind": "embedding", "texts": TEXTS, "embeddings": numbers(vectors), "tolerance": 1e-4}


def picture(w, h, seed):
    """Smooth colours with some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w]
    base = np.stack([x * 255 / w, y * 255 / h, (x + y) * 255 / (w + h)], -1)
    return Image.fromarray((base * 0.7 + rng.integers(0, 77, (h, w, 3))).astype(np.uint8))


PICTURES = {"wide.png": picture(45, 30, 1), "tall.png": picture(29, 64, 2), "tiny.png": picture(9, 7, 3)}


def processors_of_pictures():
    """Files as they are found: of several families, ages and forms of size."""
    return {
        "vit": tf.ViTImageProcessor(size={"height": 16, "width": 16}),
        "vit_int": {**tf.ViTImageProcessor(size={"height": 16, "width": 16}).to_dict(), "size": 12, "feature_extractor_type": "ViTFeatureExtractor",
                    "image_processor_type": None},
        "vit_pair": {**tf.ViTImageProcessor().to_dict(), "size": {"height": 10, "width": 14}},
        "vit_fast": tf.ViTImageProcessorFast(size={"height": 16, "width": 16}, resample=3),
        "siglip": tf.SiglipImageProcessor(size={"height": 16, "width": 16}),
        "deit": tf.DeiTImageProcessor(size={"height": 20, "width": 20}, crop_size={"height": 13, "width": 13}),
        "beit": tf.BeitImageProcessor(size={"height": 20, "width": 20}, crop_size={"height": 16, "width": 16}, do_center_crop=False),
        "clip": tf.CLIPImageProcessor(size={"shortest_edge": 17}, crop_size={"height": 14, "width": 14}),
        "clip_int": {**tf.CLIPImageProcessor().to_dict(), "size": 16, "crop_size": 16},
        "bit": tf.BitImageProcessor(size={"shortest_edge": 12}, crop_size={"height": 16, "width": 15}, resample=1),
        "convnext": tf.ConvNextImageProcessor(size={"shortest_edge": 14}, crop_pct=0.9),
        "resnet": tf.ConvNextImageProcessor(size={"shortest_edge": 14}, crop_pct=None, resample=3),
        "convnext_384": tf.ConvNextImageProcessor(size={"shortest_edge": 384}, crop_pct=0.9, resample=3),
        "efficientnet": tf.EfficientNetImageProcessor(size={"height": 20, "width": 20}, crop_size={"height": 15, "width": 15}, do_center_crop=True),
        "efficientnet_offset": tf.EfficientNetImageProcessor(size={"height": 16, "width": 16}, rescale_factor=1 / 127.5, rescale_offset=True,
                                                             include_top=False, image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.6, 0.7]),
        "mobilevit": tf.MobileViTImageProcessor(size={"shortest_edge": 18}, crop_size={"height": 15, "width": 15}),
        "mobilevit_rgb": tf.MobileViTImageProcessor(size={"shortest_edge": 18}, crop_size={"height": 16, "width": 16}, do_flip_channel_order=False),
        "mobilenet_v2": tf.MobileNetV2ImageProcessor(size={"shortest_edge": 18}, crop_size={"height": 16, "width": 16}),
        "mobilenet_v1": tf.MobileNetV1ImageProcessor(size={"shortest_edge": 18}, crop_size={"height": 16, "width": 16}, do_rescale=False,
                                                     do_normalize=False),
        **{f"vit_{code}": tf.ViTImageProcessor(size={"height": 11, "width": 13}, resample=code) for code in (0, 1, 3, 4, 5)},
        "vit_plain": tf.ViTImageProcessor(size={"height": 12, "width": 12}, do_normalize=False),
        "vit_bytes": tf.ViTImageProcessor(size={"height": 12, "width": 12}, do_normalize=False, do_rescale=False),
    }


def pixels(small):
    found = {}
    for name, p in processors_of_pictures().items():
        if isinstance(p, dict):
            kind = p.get("image_processor_type") or p["feature_extractor_type"].replace("FeatureExtractor", "ImageProcessor")
            config, p = p, getattr(tf, kind).from_dict(p)
        else:
            config = {**p.to_dict(), "image_processor_type": type(p).__name__}
        tensors = {}
        if small and name == "convnext_384":
            continue
        for file, image in PICTURES.items():
            if small and file != "tall.png" and not (file == "tiny.png" and name in ("bit", "clip")):
                continue
            tensors[file] = encoded(p(image, return_tensors="pt")["pixel_values"][0])
        found[name] = {"config": json.loads(json.dumps(config)), "tensors": tensors}
    if not small:
        found.update(presets())
    return found


def presets():
    """What torchvision's own transforms make of the pictures."""
    from torchvision.models import get_model_weights
    found = {}
    for model in ("resnet50", "swin_t", "efficientnet_b1", "efficientnet_v2_l", "inception_v3"):
        transforms = get_model_weights(model).DEFAULT.transforms()
        found[model] = {"preprocess": f"torchvision:{model}", "tensors": {file: encoded(transforms(image)) for file, image in PICTURES.items()}}
    return found


def encoded(t):
    t = np.asarray(t, dtype=np.float32)
    return {"shape": t.shape, "float16": base64.b64encode(t.astype("<f2").tobytes()).decode()}


def see(dir, work, name, make_model, processor):
    source = work / name
    source.mkdir(parents=True, exist_ok=True)
    model = seeded(make_model)
    model.save_pretrained(source)
    processor.save_pretrained(source)
    export(source, dir / name, "image-classification")
    slim(dir / name)
    classifier = tf.pipeline("image-classification", model=model, image_processor=processor, device="cpu")
    scores = [{s["label"]: s["score"] for s in classifier(image, top_k=100)} for image in PICTURES.values()]
    return {"kind": "image", "pictures": list(PICTURES), "scores": scores, "tolerance": 1e-3}


def vision_models():
    labels = {"id2label": {0: "cat", 1: "dog", 2: "bird"}, "label2id": {}}
    return {
        "vit": (lambda: tf.ViTForImageClassification(tf.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
                                                                  image_size=16, patch_size=8, **labels)), tf.ViTImageProcessor(size={"height": 16, "width": 16})),
        "resnet": (lambda: tf.ResNetForImageClassification(tf.ResNetConfig(embedding_size=4, hidden_sizes=[4, 4], depths=[1, 1], layer_type="basic", **labels)),
                   tf.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.875)),
        "convnext": (lambda: tf.ConvNextForImageClassification(tf.ConvNextConfig(hidden_sizes=[4, 4, 4, 4], depths=[1, 1, 1, 1], **labels)),
                     tf.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.9)),
        "mobilevit": (lambda: tf.MobileViTForImageClassification(tf.MobileViTConfig(
            hidden_sizes=[8, 8, 8], neck_hidden_sizes=[4, 4, 4, 8, 8, 8, 8], num_attention_heads=2, image_size=32, **labels)),
            tf.MobileViTImageProcessor(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32})),
    }


def main(dir, small):
    dir.mkdir(parents=True, exist_ok=True)
    work = dir / "source"
    answers = {}
    for name in ["bert", "distilbert", "roberta"] if small else text_models():
        answers[name] = classify(dir, work, name)
    answers["sentences"] = embed(dir, work, "sentences", "mean_tokens", True)
    if not small:
        for mode in ("cls_token", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"):
            answers[mode] = embed(dir, work, mode, mode, False, "query: ")
    for name, (model, processor) in vision_models().items():
        if name == "vit" or not small:
            answers[name] = see(dir, work, name, model, processor)
    for file, image in PICTURES.items():
        image.save(dir / file, optimize=True)
    (dir / "answers.json").write_text(json.dumps(answers, ensure_ascii=False, separators=(",", ":"), sort_keys=True) + "\n")
    (dir / "pixels.json").write_text(json.dumps(pixels(small), separators=(",", ":"), sort_keys=True) + "\n")
    shutil.rmtree(work)


if __name__ == "__main__":
    args = [a for a in sys.argv[1:] if a != "--small"]
    main(Path(args[0]), "--small" in sys.argv)
