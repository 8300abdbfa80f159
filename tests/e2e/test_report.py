#!/usr/bin/env python3
"""weft report: of real runs and of directories that are not as they should be."""

import csv
import html.parser
import io
import json
import os
import shutil

from weft_e2e import (EXIT_OK, EXIT_SOME_FAILED, WeftTest, adder_requests, main, weft, write_rows)


class Page(html.parser.HTMLParser):
    """Counts elements and finds what would be loaded from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.count = {}
        self.links = []
        self.open = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        self.links += [value for name, value in attrs if name in ("src", "href")]


class Report(WeftTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        requests = adder_requests(20)
        requests[3]["body"]["top_p"] = 2
        cls.prompts = write_rows(cls.folder / "prompts.jsonl", requests)
        case = cls()
        cls.job = case.write_job("report", cls.prompts, sampling__temperature=0)
        cls.one = cls.folder / "one"
        cls.two = cls.folder / "two"
        case.run_job(cls.job, cls.one, status=EXIT_SOME_FAILED)
        case.run_job(cls.job, cls.two, "parallel.tp=2", ranks=2, status=EXIT_SOME_FAILED)

    def report(self, *arguments, status=EXIT_OK):
        result = weft("report", *arguments)
        self.assertEqual(result.status, status, result)
        return result.out

    def copy(self, name, source=None):
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source or self.one, target)
        return target

    def change(self, directory, **members):
        path = directory / "summary.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **members}))

    def test_one_run(self):
        out = self.report(self.two)
        self.assertRegex(out, r"tp=2 on 2 ranks of 1 node\b")
        for pattern in [r"TTFT +\S+ m?s p50", r"latency +\S+ m?s p50", r"attention .* rank [01] on ",
                        r"memory .* planned", r"along tp: ", r"failed +1 by invalid_value",
                        r"same work: digest [0-9a-f]{32} of 20 requests in 1 run\b"]:
            self.assertRegex(out, pattern)

    def test_scaling(self):
        rows = list(csv.DictReader(io.StringIO(self.report(self.one, self.two, "--format", "csv"))))
        self.assertEqual([row["ranks"] for row in rows], ["1", "2"])
        self.assertEqual([row["scaling"] for row in rows], ["base", "strong"])
        self.assertEqual(rows[0]["digest"], rows[1]["digest"])
        walls = [json.loads((run / "summary.json").read_text())["seconds"]["wall"]
                 for run in (self.one, self.two)]
        self.assertAlmostEqual(float(rows[1]["speed_up"]) / (walls[0] / walls[1]), 1, places=4)
        self.assertEqual(rows[1]["verdict"], "too few repeats")
        full = json.loads(self.report(self.one, self.two, "--format", "json", "--baseline",
                                      "ranks=2"))
        self.assertEqual(full["rows"][1]["speed_up"], 1)
        self.assertEqual(full["rows"][1]["directories"], [str(self.two)])
        self.assertAlmostEqual(sum(full["rows"][0]["phase_shares"].values()), 1)

    def test_page(self):
        page = self.folder / "page.html"
        self.assertEqual(self.report(self.one, self.two, "--format", "html", "-o", page), "")
        text = page.read_text()
        found = Page(text)
        self.assertEqual(found.count["svg"], 3)
        self.assertEqual(found.links, [])
        self.assertNotIn("http", text)
        self.assertIn("prefers-color-scheme", text)
        self.assertIn("same work", text)

    def test_output_that_is_no_plain_file(self):
        text = self.report(self.one)
        target = self.folder / "target.txt"
        target.write_text("old")
        link = self.folder / "link.txt"
        link.symlink_to(target)
        self.report(self.one, "-o", link)
        self.assertTrue(link.is_symlink())
        self.assertEqual(target.read_text(), text)
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.report(self.one, "-o", pipe)
        self.assertEqual(os.read(reader, 65536).decode(), text)
        self.assertTrue(pipe.is_fifo())

    def test_comparison(self):
        """Repeats that are five times as long are told apart; the same ones are not."""
        slow = []
        fast = []
        for i in range(6):
            for runs, factor in [(fast, 1), (slow, 5)]:
                run = self.copy(f"compare-{factor}-{i}")
                summary = json.loads((run / "summary.json").read_text())
                self.change(run, seconds={**summary["seconds"], "wall": factor * (10 + i / 10)})
                runs.append(run)
        self.assertIn("B slower", self.report(*fast, "--compare", *slow))
        self.assertIn("B not distinguishable", self.report(*fast, "--compare", *fast))
        self.assert_refused(weft("report", self.one, "--compare", self.two), "in common")

    def test_other_work(self):
        other = self.copy("other-work")
        with open(other / "results.jsonl", "a", encoding="utf-8") as file:
            file.write("{}\n")
        out = self.report(self.one, other, status=EXIT_SOME_FAILED)
        self.assertRegex(out, r"DIFFERENT WORK: 2 digests of 20 requests: .*other-work")

    def test_broken_directories(self):
        missing = self.copy("missing")
        (missing / "summary.json").unlink()
        self.assert_refused(weft("report", missing), "no summary.json")
        self.assert_refused(weft("report", self.folder / "nowhere"), "no such directory")
        cut = self.copy("cut")
        whole = (cut / "summary.json").read_text()
        (cut / "summary.json").write_text(whole[:len(whole) // 2])
        self.assert_refused(weft("report", cut), "damaged or was cut off")
        (cut / "summary.json").write_text("{}")
        self.assert_refused(weft("report", cut), "it has no '/contract'")
        mixed = self.copy("mixed")
        self.change(mixed, contract=2)
        self.assert_refused(weft("report", self.one, mixed), "contract 3, .* of 2: they did not do the same work")
        self.change(mixed, contract=json.loads(whole)["contract"], weft="0.0.1")
        self.assertIn("several versions of weft", self.report(self.one, mixed))
        old = self.copy("old")  # of a version that recorded less
        summary = json.loads(whole)
        for member in ("environment", "latency_seconds", "batch", "seconds_by_phase"):
            del summary[member]
        (old / "summary.json").write_text(json.dumps(summary))
        self.assertIn("one rank", self.report(old))
        self.report(old, self.two, "--format", "html")

    def test_study(self):
        study = self.folder / "study"
        (study / "points").mkdir(parents=True)
        lines = []
        for point, source in enumerate([self.one, self.two]):
            name = f"points/{point:03}-r0"
            self.copy(f"study/{name}", source)
            lines.append({"point": point, "repeat": 0, "dir": name, "status": "ok",
                          "factors": {"ranks": point + 1}, "started": 0, "seconds": 1})
        lines.append({"point": 2, "repeat": 0, "dir": "points/002-r0", "status": "illegal",
                      "reason": "3 ranks, and the model has 4 heads", "factors": {"ranks": 3}})
        text = "".join(json.dumps(line) + "\n" for line in lines) + '{"point": 3, "re'
        (study / "points.jsonl").write_text(text)
        out = self.report(study)
        self.assertRegex(out, r"illegal: 3 ranks, and the model has 4 heads")
        self.assertIn("1 damaged line is left out", out)
        rows = list(csv.DictReader(io.StringIO(self.report(study, "--format", "csv"))))
        self.assertEqual([row["status"] for row in rows], ["ok", "ok", "illegal"])
        self.assertEqual([row["factors"] for row in rows], ["ranks=1", "ranks=2", "ranks=3"])


if __name__ == "__main__":
    main()
