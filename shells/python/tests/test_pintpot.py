"""The Python package as people use it: `python -m unittest discover shells/python/tests`, after `pip install .`.

With PINTPOT_TEST_MODELS naming a folder that holds smollm2.gguf the README's snippet runs on that model.
"""

import asyncio
import base64
import concurrent.futures
import gc
import json
import os
import pathlib
import re
import sys
import threading
import time
import unittest

import pintpot
import pintpot.ray
import pintpot.spark

try:
    import numpy
except ImportError:
    numpy = None

ROOT = pathlib.Path(__file__).resolve().parents[3]
TINY = str(ROOT / "tests/golden/tiny/llama-q4.gguf")
CASES = ROOT / "tests/networks/cases"
TEXTS = ROOT / "tests/networks/texts"
#: Kinds of elements by ONNX's numbers.
KINDS = {1: "<f4", 2: "<u1", 3: "<i1", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8"}
HELLO = [{"role": "user", "content": "Hello"}]


def array_of(proto: bytes) -> "numpy.ndarray":
    """The array of a TensorProto of ONNX: extents, kind, and elements as they are, or floats in a list."""
    at, dims, kind, raw = 0, [], 0, b""

    def number() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = proto[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(proto):
        tag = number()
        if tag & 7 == 0:
            value = number()
            dims += [value] if tag >> 3 == 1 else []
            kind = value if tag >> 3 == 2 else kind
        else:
            size = number()
            field, at = proto[at : at + size], at + size
            raw = field if tag >> 3 in (4, 9) else raw
    return numpy.frombuffer(raw, KINDS[kind]).reshape(dims)


def skip_or_fail(test: unittest.TestCase, why: str) -> None:
    if os.environ.get("PINTPOT_TEST_STRICT"):
        test.fail(why)
    test.skipTest(why)


class Answers(unittest.TestCase):
    engine: pintpot.Engine
    model: pintpot.Model

    @classmethod
    def setUpClass(cls) -> None:
        cls.engine = pintpot.Engine(memory="1GiB", threads=1)
        cls.model = cls.engine.load(TINY, context=256, parallel=4)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.model.close()

    def test_pieces_are_the_answer(self) -> None:
        answer = self.model.generate("Once upon a time", max_tokens=20)
        pieces = list(answer)
        whole = answer.completion()
        self.assertEqual("".join(pieces), whole.text)
        self.assertEqual((whole.finish, len(whole.ids), whole.answer_tokens), ("length", 20, 20))
        again = self.model.generate("Once upon a time", max_tokens=20).completion()
        self.assertEqual((again.ids, again.logits_digest), (whole.ids, whole.logits_digest))
        self.assertEqual(self.model.chat(HELLO, max_tokens=3).completion().answer_tokens, 3)

    def test_budgets_do_not_change_answers(self) -> None:
        digests = set()
        for memory, parallel in [("1GiB", 1), (1 << 28, 3)]:
            model = pintpot.Engine(memory=memory, threads=2).load(TINY, context=256, parallel=parallel)
            options = {"max_tokens": 30, "temperature": 0.9, "seed": 5}
            digests.add(tuple(each.logits_digest for each in model.map(["a", HELLO, [1, 2, 3]], **options)))
            model.close()
        self.assertEqual(len(digests), 1)

    def test_tasks_share_steps(self) -> None:
        async def one(n: int) -> str:
            text = ""
            async for piece in self.model.generate(f"number {n}", max_tokens=15):
                text += piece
            return text

        async def all_of_them() -> None:
            texts = await asyncio.gather(*(one(n) for n in range(6)))
            for n, text in enumerate(texts):
                self.assertEqual(text, (await self.model.generate(f"number {n}", max_tokens=15)).text)

        asyncio.run(all_of_them())

    def test_a_task_that_is_cancelled_ends_its_answer(self) -> None:
        async def cancelled() -> pintpot.Answer:
            answer = self.model.generate("on and on", max_tokens=230)

            async def listen() -> None:
                async for _ in answer:
                    pass

            task = asyncio.create_task(listen())
            await asyncio.sleep(0.02)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            return answer

        self.assertIn(asyncio.run(cancelled()).completion().finish, ("cancelled", "length", "stop"))
        answer = self.model.generate("on and on", max_tokens=230)
        next(answer)
        answer.cancel()
        self.assertLess(answer.completion().answer_tokens, 230)

    def test_others_go_on_while_it_computes(self) -> None:
        count, done = 0, threading.Event()

        def ask() -> None:
            self.model.generate("work", max_tokens=200).completion()
            done.set()

        interval = sys.getswitchinterval()
        sys.setswitchinterval(10)  # whoever has the lock keeps it, unless it is given back
        try:
            thread = threading.Thread(target=ask)
            thread.start()
            while not done.is_set() and count < 10**7:
                count += 1
                time.sleep(0)
            thread.join()
        finally:
            sys.setswitchinterval(interval)
        self.assertGreater(count, 100)

    def test_what_an_answer_may_be(self) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
        text = self.model.generate("json", json_schema=schema, max_tokens=60, temperature=1.0, seed=3).text()
        self.assertRegex(text, r'^\s*\{\s*"a"')
        self.assertIn(self.model.generate("choose", regex="(yes|no)", max_tokens=10).text(), ("yes", "no"))
        with self.assertRaises(pintpot.UsageError):
            self.model.generate("a", regex="a", grammar="b")
        stopped = self.model.generate("Once", max_tokens=40).text()
        middle = stopped[len(stopped) // 2]
        self.assertEqual(self.model.generate("Once", max_tokens=40, stop=middle).completion().stop, middle)

    def test_how_likely_tokens_were(self) -> None:
        whole = self.model.generate("Once upon a time", max_tokens=6, logprobs=3).completion()
        self.assertEqual([token.id for token in whole.logprobs], whole.ids)
        for token in whole.logprobs:
            self.assertEqual((len(token.top), token.top[0].id, token.top[0].logprob), (3, token.id, token.logprob))
            self.assertTrue(0 >= token.logprob >= token.top[1].logprob >= token.top[2].logprob)
        self.assertEqual(self.model.generate("Once upon a time", max_tokens=6).completion().logprobs, [])

    def test_tools_are_called(self) -> None:
        schema = {"type": "object", "required": ["city"], "additionalProperties": False, "properties": {"city": {"enum": ["Paris", "Rome"]}}}
        weather = {"type": "function", "function": {"name": "get_weather", "description": "The weather now", "parameters": schema}}
        with self.assertRaises(pintpot.UsageError):
            self.model.chat(HELLO, tools=[weather]).text()  # this model has no place for them
        for wrong in [{"tools": [{"type": "web_search"}]}, {"tool_choice": "required"}]:
            with self.assertRaises(pintpot.UsageError):
                self.model.chat(HELLO, **wrong)
        path = pathlib.Path(os.environ.get("PINTPOT_TEST_MODELS", "")) / "qwen2.5-coder-0.5b.gguf"
        if not path.is_file():
            skip_or_fail(self, "PINTPOT_TEST_MODELS names no folder that holds qwen2.5-coder-0.5b.gguf")
        turns = [{"role": "user", "content": "What is the weather in Rome?"}]
        with pintpot.Engine(memory="1GiB").load(path, context=512) as model:
            called = model.chat(turns, tools=[weather], tool_choice="required", max_tokens=60).completion()
            [call] = called.calls
            self.assertEqual((call.name, set(call.arguments), called.text.strip()), ("get_weather", {"city"}, ""))
            made = {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            turns += [{"role": "assistant", "content": "", "tool_calls": [made]}, {"role": "tool", "content": "21 degrees and sunny"}]
            self.assertIn("21", model.chat(turns, tools=[weather], tool_choice="none", max_tokens=60).text())


class Errors(unittest.TestCase):
    def test_a_refusal_has_its_facts_and_is_true(self) -> None:
        with self.assertRaises(pintpot.Refused) as caught:
            pintpot.Engine(memory="3MiB", threads=1).load(TINY, context=64)
        refused = caught.exception
        self.assertEqual((refused.budget, refused.context, refused.exit_code), (3 << 20, 64, 3))
        self.assertEqual(sum(refused.lines.values()), refused.needed)
        self.assertIsInstance(refused, MemoryError)
        engine = pintpot.Engine(memory=refused.needed, threads=1)
        plan = engine.plan(TINY, context=64)
        self.assertTrue(plan["fits"] and plan["peak_bytes"] <= engine.budget)
        model = engine.load(TINY, context=64)
        self.assertEqual(model.generate("a", max_tokens=2).completion().answer_tokens, 2)
        self.assertLessEqual(engine.peak, engine.budget)
        self.assertEqual(sum(engine.ledger().values()), engine.used)
        model.close()
        gc.collect()
        self.assertEqual(engine.used, 0)

    def test_everything_that_is_wrong_is_an_exception(self) -> None:
        engine = pintpot.Engine(memory="1GiB", threads=1)
        for wrong, kind in [
            (lambda: pintpot.Engine(memory="a lot"), pintpot.UsageError),
            (lambda: pintpot.Engine(threads=0), pintpot.UsageError),
            (lambda: engine.load("nowhere.gguf"), pintpot.Missing),
            (lambda: engine.load(__file__), pintpot.Error),
            (lambda: engine.load(TINY, kv="q3"), pintpot.UsageError),
            (lambda: engine.load(TINY, parallel=1000), pintpot.UsageError),
        ]:
            with self.assertRaises(kind):
                wrong()
        model = engine.load(TINY, context=64)
        with self.assertRaises(pintpot.PromptTooLong) as caught:
            model.generate("much " * 500).text()
        self.assertEqual(caught.exception.context, 64)
        self.assertGreater(caught.exception.tokens, 64)
        for wrong in [lambda: model.generate(""), lambda: model.generate([10**6]), lambda: model.generate("a", top_p=-1.0)]:
            with self.assertRaises(pintpot.UsageError):
                wrong().text()
        with self.assertRaises((KeyError, pintpot.UsageError)):
            model.chat([{"content": "no role"}]).text()
        with self.assertRaises(TypeError):
            model.generate("a", temprature=1)
        model.close()
        with self.assertRaises(pintpot.Error):
            model.generate("a").text()


class Encoders(unittest.TestCase):
    def setUp(self) -> None:
        if numpy is None:
            skip_or_fail(self, "numpy is not installed")
        self.golden = json.loads((TEXTS / "references.json").read_text())
        self.models = {model["name"]: model for model in self.golden["models"]}
        self.engine = pintpot.Engine(memory="64MiB", threads=1)

    def test_vectors_are_those_of_the_reference(self) -> None:
        with self.engine.encoder(TEXTS / "encoder") as encoder:
            vectors = encoder.embed(self.golden["texts"])
            want = [base64.b64decode(vector) for vector in self.models["encoder"]["vectors"]]
            want = numpy.array([numpy.frombuffer(vector, "<f4") for vector in want])
            self.assertEqual((vectors.dtype, vectors.shape), (numpy.float32, (len(want), encoder.dimensions)))
            cosines = (vectors * want).sum(1) / numpy.linalg.norm(want, axis=1)
            self.assertLess(abs(1 - cosines).max(), 1e-5)
            one = encoder.embed(self.golden["texts"][0])
            self.assertTrue((one == vectors[0]).all() and one.shape == (encoder.dimensions,))
            many = encoder.embed(["it is the age"] * 150)
            self.assertTrue((many == many[0]).all() and len(many) == 150)
            self.assertEqual(encoder.embed([]).shape, (0, encoder.dimensions))
            self.assertEqual(sum(encoder.lines.values()), self.engine.used)
            with self.assertRaises(pintpot.UsageError):
                encoder.rerank("a", ["b"])
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                for again in pool.map(encoder.embed, [self.golden["texts"]] * 3):
                    self.assertTrue((again == vectors).all())
        self.assertEqual(self.engine.used, 0)
        with self.assertRaises(pintpot.Error):
            encoder.embed("a")

    def test_scores_are_those_of_the_reference(self) -> None:
        with self.engine.encoder(TEXTS / "reranker") as encoder:
            scores = encoder.rerank(self.golden["query"], self.golden["answers"])
            numpy.testing.assert_allclose(scores, self.models["reranker"]["scores"], atol=1e-4)
            with self.assertRaises(pintpot.UsageError):
                encoder.embed("a")

    def test_what_cannot_be_is_refused(self) -> None:
        with self.assertRaises(pintpot.Refused) as caught:
            pintpot.Engine(memory="2MiB", threads=1).encoder(TEXTS / "encoder")
        pintpot.Engine(memory=caught.exception.needed, threads=1).encoder(TEXTS / "encoder").close()
        for wrong, kind in [
            (lambda: self.engine.encoder(TINY), pintpot.Missing),
            (lambda: self.engine.encoder("nowhere"), pintpot.Missing),
            (lambda: self.engine.encoder(TEXTS / "encoder", pooling="middle"), pintpot.UsageError),
        ]:
            with self.assertRaises(kind):
                wrong()


class Networks(unittest.TestCase):
    def setUp(self) -> None:
        if numpy is None:
            skip_or_fail(self, "numpy is not installed")
        self.engine = pintpot.Engine(memory="64MiB", threads=1)

    def test_arrays_are_those_of_onnxruntime(self) -> None:
        for case in ["gelu_bias", "attention_mask", "integer_matmul_float", "norm_group", "rotary_0"]:
            folder = CASES / case / "test_data_set_0"
            arrays = lambda kind: [array_of(path.read_bytes()) for path in sorted(folder.glob(f"{kind}_*.pb"))]
            given, want = arrays("input"), arrays("output")
            with self.engine.network(CASES / case / "model.onnx") as network:
                self.assertEqual([port.shape for port in network.inputs], [array.shape for array in given])
                fed = {port.name: array for port, array in zip(network.inputs, given)}
                made = network.run(fed)
                for port, array in zip(network.outputs, want):
                    got = made[port.name]
                    self.assertEqual((got.dtype, got.shape, port.dtype), (array.dtype, array.shape, array.dtype.name))
                    numpy.testing.assert_allclose(got, array, rtol=1e-3, atol=1e-5, err_msg=case)
                    got += 1  # it is the caller's
                again = network.run({name: numpy.array(array, order="F") for name, array in fed.items()})
                for name, array in again.items():
                    numpy.testing.assert_array_equal(array + 1, made[name])
                self.assertEqual(sum(network.lines.values()), self.engine.used)
            self.assertEqual(self.engine.used, 0)

    def test_what_cannot_be_is_refused(self) -> None:
        model = CASES / "gelu_bias" / "model.onnx"
        network = self.engine.network(model)
        port = network.inputs[0]
        fed = {each.name: numpy.zeros(each.shape, each.dtype) for each in network.inputs}
        for wrong in [
            {**fed, port.name: fed[port.name].astype("float64")},
            {**fed, port.name: fed[port.name][None]},
            {**fed, "other": fed[port.name]},
            {**fed, port.name: numpy.array(["text"])},
            {name: array for name, array in fed.items() if name != port.name},
        ]:
            with self.assertRaises(pintpot.UsageError) as caught:
                network.run(wrong)
        self.assertIn(port.name, str(caught.exception))
        network.close()
        with self.assertRaises(pintpot.Error):
            network.run(fed)
        with self.assertRaises(pintpot.Refused) as caught:
            pintpot.Engine(memory="1MiB", threads=1).network(model)
        self.assertEqual(sum(caught.exception.lines.values()), caught.exception.needed)
        for wrong, kind in [
            (lambda: self.engine.network(TINY), pintpot.Missing),
            (lambda: self.engine.network(model, {"nonesuch": (1,)}), pintpot.UsageError),
            (lambda: self.engine.network(model, {port.name: (2**40, 2**40)}), pintpot.UsageError),
            (lambda: self.engine.network(model, carry={"nonesuch": port.name}), pintpot.UsageError),
        ]:
            with self.assertRaises(kind):
                wrong()

    def test_states_are_carried_and_numbers_that_decided_stay(self) -> None:
        model = pathlib.Path(os.environ.get("PINTPOT_TEST_MODELS", "")) / "silero-vad/silero_vad.onnx"
        if not model.is_file():
            self.skipTest("PINTPOT_TEST_MODELS names no folder that holds silero-vad")
        extents = {"input": (1, 576), "state": (2, 1, 128), "sr": numpy.array(16000)}
        network = self.engine.network(model, extents)
        sound = numpy.random.default_rng(1).standard_normal((3, 1, 576)).astype("float32")
        state, by_hand = numpy.zeros((2, 1, 128), "float32"), []
        for piece in sound:
            made = network.run({"input": piece, "state": state, "sr": 16000})
            state, by_hand = made["stateN"], [*by_hand, made["output"].item()]
        with self.assertRaises(pintpot.UsageError):
            network.run({"input": sound[0], "state": state, "sr": 8000})
        network.close()
        network = self.engine.network(model, extents, carry={"stateN": "state"})
        self.assertEqual([port.name for port in network.inputs], ["input", "sr"])
        for _ in range(2):
            self.assertEqual([network.run({"input": piece, "sr": 16000})["output"].item() for piece in sound], by_hand)
            network.reset()


class Datasets(unittest.TestCase):
    def test_a_worker_adds_columns(self) -> None:
        worker = pintpot.ray.Worker(TINY, "1GiB", threads=1, context=128, max_tokens=4)
        batch = worker({"prompt": ["a", "b", HELLO], "n": [1, 2, 3]})
        self.assertEqual([len(batch[name]) for name in ("n", "answer", "answer_finish", "answer_digest")], [3] * 4)
        alone = worker.model.chat([{"role": "user", "content": "b"}], max_tokens=4).completion()
        self.assertEqual(batch["answer_digest"][1], alone.logits_digest)
        worker.model.close()

    def test_a_local_ray(self) -> None:
        try:
            import ray
            import ray.data
        except ImportError:
            self.skipTest("ray is not installed")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
        try:
            rows = ray.data.from_items([{"id": n, "prompt": f"number {n}"} for n in range(40)])
            answered = pintpot.ray.map_batches(
                rows, TINY, memory="256MiB", workers=2, batch_size=8, context=128, max_tokens=6
            )
            rows = sorted(answered.take_all(), key=lambda row: row["id"])
        finally:
            ray.shutdown()
        self.assertEqual([row["id"] for row in rows], list(range(40)))
        model = pintpot.Engine(memory="1GiB", threads=1).load(TINY, context=128)
        for row in rows[::13]:
            alone = model.chat([{"role": "user", "content": row["prompt"]}], max_tokens=6).completion()
            self.assertEqual((row["answer"], row["answer_digest"]), (alone.text, alone.logits_digest))
        model.close()

    def test_frames_of_pandas_as_spark_gives_them(self) -> None:
        try:
            import pandas
        except ImportError:
            self.skipTest("pandas is not installed")
        add = pintpot.spark.answers(TINY, memory="1GiB", threads=1, context=128, max_tokens=4)
        frames = [pandas.DataFrame({"prompt": ["a", "b"], "n": [1, 2]}), pandas.DataFrame({"prompt": ["c"], "n": [3]})]
        got = list(add(iter(frames)))
        self.assertEqual([list(frame.columns) for frame in got], [["prompt", "n", "answer"]] * 2)
        self.assertEqual([len(frame) for frame in got], [2, 1])


class Documents(unittest.TestCase):
    def test_the_snippet_of_the_readme_runs(self) -> None:
        model = pathlib.Path(os.environ.get("PINTPOT_TEST_MODELS", "")) / "smollm2.gguf"
        if not model.is_file():
            skip_or_fail(self, "PINTPOT_TEST_MODELS names no folder that holds smollm2.gguf")
        for page in ("shells/python/README.md", "README.md"):
            text = (ROOT / page).read_text(encoding="utf-8")
            snippets = re.findall(r"```python\n(.*?)```", text, re.S)
            self.assertEqual(len(snippets), 1, page)
            snippet = snippets[0].replace('pintpot.pull("smollm2")', repr(str(model)))
            self.assertIn(str(model), snippet)
            said = []
            exec(compile(snippet, page, "exec"), {"print": lambda *words, **_: said.extend(words)})
            self.assertIn("Paris", "".join(said))


if __name__ == "__main__":
    unittest.main()
