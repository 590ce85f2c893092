import assert from "node:assert/strict";
import { test } from "node:test";
import { isAmount } from "./amount.ts";

test("isAmount takes what the API takes, and nothing else", () => {
  for (const good of ["0", "12", "12.50", " 3 ", "0.000000000001", "999999999999"])
    assert.ok(isAmount(good), good);
  for (const bad of ["", "-1", "1,5", "1.", ".5", "01", "1e3", "1.0000000000001", "1000000000000"])
    assert.ok(!isAmount(bad), bad);
});
