import assert from "node:assert/strict";
import { test } from "node:test";
import { nextOf, withoutHeader } from "./csv_pages.ts";

test("nextOf reads the next page of a Link header", () => {
  assert.equal(
    nextOf('</live/api/v1/usage/calls?cursor=a%3D>; rel="next"'),
    "/live/api/v1/usage/calls?cursor=a%3D",
  );
  assert.equal(nextOf(null), null);
  assert.equal(nextOf('</x>; rel="prev"'), null);
});

test("withoutHeader keeps every row", () => {
  assert.equal(withoutHeader("a,b\r\n1,2\r\n3,4\r\n"), "1,2\r\n3,4\r\n");
  assert.equal(withoutHeader("a,b"), "");
});
