import assert from "node:assert/strict";
import { test } from "node:test";
import { plainUsd } from "../parts/money.ts";
import { type Sums, shareOf, sumTotals, topOf } from "./sums.ts";

function total(cost: string, platform = "0", calls = 1): Sums {
  const usage = {
    input_tokens: 10,
    output_tokens: 1,
    cache_read_tokens: 0,
    cache_write_tokens: 0,
    reasoning_tokens: 0,
  };
  return { calls, usage, cost_usd: cost, platform_cost_usd: platform, suspense_usd: "0.5" };
}

test("sumTotals adds amounts without rounding, and counts", () => {
  const sum = sumTotals([total("0.1", "0.000000000001"), total("0.2", "1", 4)]);
  assert.equal(plainUsd(sum.cost_usd), "0.3");
  assert.equal(plainUsd(sum.platform_cost_usd), "1.000000000001");
  assert.equal(plainUsd(sum.suspense_usd), "1");
  assert.deepEqual([sum.calls, sum.usage.input_tokens], [5, 20]);
});

test("topOf puts the cheapest items together", () => {
  const [top, others, count] = topOf([total("1"), total("3"), total("0", "2"), total("0.5")], 3);
  assert.deepEqual(
    top.map((each) => each.cost_usd),
    ["3", "0"],
  );
  assert.equal(plainUsd(others?.cost_usd ?? ""), "1.5");
  assert.equal(count, 2);
});

test("topOf leaves a short list whole", () => {
  assert.deepEqual(topOf([total("1")], 2), [[total("1")], null, 0]);
});

test("shareOf stays between nothing and the whole", () => {
  assert.equal(shareOf("5", "10"), 0.5);
  assert.equal(shareOf("15", "10"), 1);
  assert.equal(shareOf("-1", "10"), 0);
  assert.equal(shareOf("1", "0"), 0);
});
