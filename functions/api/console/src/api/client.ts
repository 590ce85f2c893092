/** The typed client of the API. */
import createClient, { type Middleware } from "openapi-fetch";
import { base } from "../base.ts";
import { expire, token } from "../signing_in/token.ts";
import { isRecord, offline, Problem } from "./problem.ts";
import type { paths } from "./schema.d.ts";

const signed: Middleware = {
  onRequest({ request }) {
    // A token that is tried out is not the one of this tab.
    if (request.headers.has("Authorization")) return request;
    for (const [name, value] of Object.entries(credentials())) request.headers.set(name, value);
    return request;
  },
  onResponse({ request, response }) {
    // A late answer to the token before says nothing about this one.
    const isCurrent = request.headers.get("Authorization") === credentials().Authorization;
    if (response.status === 401 && isCurrent) expire();
  },
};

export const api = createClient<paths>({ baseUrl: base });
api.use(signed);

export function credentials(): Record<string, string> {
  return token.value ? { Authorization: `Bearer ${token.value}` } : {};
}

interface Answered<Data> {
  data?: Data | undefined;
  error?: unknown;
  response: Response;
}

/** The data of an answer. Throws a Problem if the request failed. */
export async function ok<Data>(answer: Promise<Answered<Data>>): Promise<Data> {
  return (await answered(answer)).data;
}

/** The same with the response, for its headers. */
export async function answered<Data>(
  answer: Promise<Answered<Data>>,
): Promise<{ data: Data; response: Response }> {
  let got: Answered<Data>;
  try {
    got = await answer;
  } catch (error) {
    throw offline(error);
  }
  if (!got.response.ok) throw new Problem(got.response.status, isRecord(got.error) ? got.error : {});
  return { data: got.data as Data, response: got.response };
}
