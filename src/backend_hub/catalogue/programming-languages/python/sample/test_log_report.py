"""Run with: python -m unittest"""

import unittest

from log_report import Request, parse_line, summarise


class ParseLineTest(unittest.TestCase):
    def test_reads_one_request_and_drops_the_query_string(self):
        line = '192.0.2.1 [2026-03-02T09:00:00Z] "GET /search?q=x HTTP/1.1" 200 17\n'
        self.assertEqual(parse_line(line), Request("GET", "/search", 200, 17))

    def test_refuses_a_damaged_line(self):
        self.assertIsNone(parse_line('192.0.2.1 [2026-03-02T09:00:00Z] "GET /se'))


class SummariseTest(unittest.TestCase):
    def test_counts_failures_per_endpoint(self):
        requests = [Request("GET", "/", 200, 10), Request("GET", "/", 503, 30)]
        summary = summarise(requests)["GET /"]
        self.assertEqual((summary.durations, summary.failures), ([10, 30], 1))
