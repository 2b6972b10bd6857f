"""Word count as one would write it in Python: one process, csv, Counter. Usage: FILES..."""

import csv
import json
import sys
from collections import Counter

counts = Counter()
for path in sys.argv[1:]:
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            counts.update(row["text"].split(" "))
top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:10]
json.dump({"words": sum(counts.values()), "distinct": len(counts), "top": top}, sys.stdout)
