#!/usr/bin/env python3
"""What requests ask for beside a plain completion: choices, several prompts, log-probabilities,
echoes, penalties, tokens that may or may not come."""

import json
import math
import shutil

from weft_e2e import ADDER, EXIT_OK, WeftTest, completion_request, main, weft, write_rows

PROMPT = "160+302="  # eight tokens, one for each character; the answer is 462
NO_LIMIT = {"temperature": 0, "max_tokens": 8}


class Requests(WeftTest):
    """Rows of one job with one request of each kind."""

    def answers(self, name, requests, **settings):
        """{custom_id: body} of a job that succeeds."""
        prompts = write_rows(self.folder / f"{name}.jsonl", requests)
        job = self.write_job(name, prompts, **settings)
        rows = [json.loads(line) for line in self.run_job(job, self.folder / name).splitlines()]
        return {row["custom_id"]: row["response"]["body"] for row in rows}

    def test_choices_and_prompts(self):
        answers = self.answers("choices", [
            completion_request("hot", PROMPT, n=4, temperature=5.0, max_tokens=12),
            completion_request("two", [PROMPT, "7+8="], n=2, best_of=2, **NO_LIMIT),
            completion_request("ids", [[22, 10, 23, 28], [16, 28]], **NO_LIMIT),
        ], output__created=1234)
        hot = answers["hot"]["choices"]
        self.assertEqual([choice["index"] for choice in hot], [0, 1, 2, 3])
        self.assertGreater(len({choice["text"] for choice in hot}), 1)
        self.assertEqual(answers["hot"]["usage"]["prompt_tokens"], 8)
        self.assertEqual([choice["text"] for choice in answers["two"]["choices"]],
                         ["462", "462", "15", "15"])
        self.assertEqual(answers["two"]["usage"],
                         {"prompt_tokens": 12, "completion_tokens": 14, "total_tokens": 26})
        self.assertEqual(answers["ids"]["choices"][0]["text"], "15")
        self.assertEqual({body["created"] for body in answers.values()}, {1234})

    def test_too_much_in_one_request(self):
        """A row that would be too long costs an error row, as do too many completions."""
        long_token = self.folder / "long-token"
        shutil.copytree(ADDER, long_token)
        tokenizer = json.loads((long_token / "tokenizer.json").read_text())
        text = "x" * 70000  # one token: 4096 echoes of it are more than 256 MiB
        tokenizer["added_tokens"].append({**tokenizer["added_tokens"][1], "content": text,
                                          "special": False})
        del tokenizer["added_tokens"][1]
        (long_token / "tokenizer.json").write_text(json.dumps(tokenizer))
        model = self.folder / "long-token-model"
        converted = weft("convert", long_token, model)
        self.assertEqual(converted.status, EXIT_OK, converted)
        prompts = write_rows(self.folder / "too-much.jsonl", [
            completion_request("long", [text] * 32, n=128, echo=True, max_tokens=1),
            completion_request("many", ["1+1="] * 33, n=128, max_tokens=1),
            completion_request("fine", PROMPT, **NO_LIMIT)])
        job = self.write_job("too-much", prompts, engine__max_batch_tokens=8192)
        results = self.run_job(job, self.folder / "too-much", f"model={model}", status=3)
        long, many, fine = map(json.loads, results.splitlines())
        self.assertEqual(long["error"]["code"], "response_too_large")
        self.assertEqual((many["error"]["code"], many["error"]["param"]), ("invalid_value", "n"))
        self.assertRegex(many["error"]["message"], "4224 completions, at most 4096")
        self.assertIsNone(fine["error"])

    def test_log_probabilities(self):
        chat = {"custom_id": "chat", "method": "POST", "url": "/v1/chat/completions",
                "body": {"messages": [{"role": "user", "content": "1+1="}], "logprobs": True,
                         "top_logprobs": 2, **NO_LIMIT}}
        answers = self.answers("logprobs", [
            completion_request("score", PROMPT + "462", echo=True, max_tokens=0, logprobs=3),
            completion_request("both", PROMPT, echo=True, logprobs=0, **NO_LIMIT),
            completion_request("plain", PROMPT, logprobs=20, **NO_LIMIT),
            chat,
        ])
        score = answers["score"]["choices"][0]
        both = answers["both"]["choices"][0]
        plain = answers["plain"]["choices"][0]
        self.assertEqual(score["text"], PROMPT + "462")
        self.assertEqual(both["text"], PROMPT + "462")
        self.assertEqual(plain["text"], "462")
        self.assertEqual(answers["score"]["usage"]["completion_tokens"], 0)
        lists = score["logprobs"]
        self.assertEqual(lists["tokens"], list(PROMPT + "462"))
        self.assertEqual(lists["text_offset"], list(range(11)))
        self.assertIsNone(lists["token_logprobs"][0])
        self.assertIsNone(lists["top_logprobs"][0])
        # A generated token scores as the same one in a prompt does.
        self.assertEqual(both["logprobs"]["token_logprobs"], lists["token_logprobs"])
        self.assertEqual(plain["logprobs"]["token_logprobs"], lists["token_logprobs"][8:])
        self.assertEqual(plain["logprobs"]["text_offset"], [0, 1, 2])
        for value, top in zip(lists["token_logprobs"][1:], lists["top_logprobs"][1:]):
            self.assertLessEqual(value, max(top.values()))
            self.assertIn(len(top), (3, 4))
        for top in plain["logprobs"]["top_logprobs"]:
            self.assertLess(sum(math.exp(value) for value in top.values()), 1.00001)
        content = answers["chat"]["choices"][0]["logprobs"]["content"]
        self.assertEqual("".join(entry["token"] for entry in content),
                         answers["chat"]["choices"][0]["message"]["content"])
        for entry in content:
            self.assertEqual(bytes(entry["bytes"]).decode(), entry["token"])
            self.assertEqual(len(entry["top_logprobs"]), 2)
            self.assertEqual(entry["logprob"], entry["top_logprobs"][0]["logprob"])

    def test_what_may_come(self):
        six = 21  # the token of "6"
        answers = self.answers("edits", [
            completion_request("bias", PROMPT, logit_bias={str(six): -100}, **NO_LIMIT),
            completion_request("bad", PROMPT, bad_words=["6"], **NO_LIMIT),
            completion_request("pair", PROMPT, bad_words=["46"], **NO_LIMIT),
            completion_request("allowed", PROMPT, allowed_token_ids=[six], **NO_LIMIT),
            completion_request("stop", PROMPT, stop=["62", "6"], **NO_LIMIT),
            completion_request("kept", PROMPT, stop=["62", "6"], include_stop_str_in_output=True,
                               **NO_LIMIT),
            completion_request("free", PROMPT, bad_words=["64"], **NO_LIMIT),
            completion_request("penalty", PROMPT, frequency_penalty=2, repetition_penalty=100,
                               temperature=0, max_tokens=30, ignore_eos=True),
        ])
        text = {name: body["choices"][0]["text"] for name, body in answers.items()}
        self.assertNotIn("6", text["bias"])
        self.assertNotIn("6", text["bad"])
        self.assertTrue(text["pair"].startswith("4") and not text["pair"].startswith("46"), text)
        self.assertEqual(text["allowed"], "6" * 8)
        self.assertEqual(text["free"], "462")
        self.assertEqual((text["stop"], text["kept"]), ("4", "46"))
        self.assertEqual(answers["penalty"]["usage"]["completion_tokens"], 30)

    def test_the_jobs_defaults(self):
        answers = self.answers("defaults", [
            completion_request("job", PROMPT, **NO_LIMIT),
            completion_request("own", PROMPT, bad_words=[], **NO_LIMIT),
        ], sampling__bad_words='["6"]')
        self.assertNotIn("6", answers["job"]["choices"][0]["text"])
        self.assertEqual(answers["own"]["choices"][0]["text"], "462")


if __name__ == "__main__":
    main()
