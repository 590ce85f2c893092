/** Find the faults of a form's fields, by the form's checks or the API's answer. */
import { isRecord, type Problem } from "../api/problem.ts";

/** A sentence for each field that is wrong, by the field's name in the API. */
export type Faults = Readonly<Record<string, string>>;

/** The faults that a refused request names. They are empty if the problem is about no field. */
export function faultsOf(problem: Problem): Faults {
  const faults: Record<string, string> = {};
  const errors = Array.isArray(problem.body.errors) ? problem.body.errors : [];
  for (const error of errors) {
    if (!isRecord(error) || typeof error.path !== "string" || typeof error.message !== "string") continue;
    const [, field] = /^body\.([a-z_]+)/.exec(error.path) ?? [];
    if (field) faults[field] ??= error.message;
  }
  // Some checks write the field into the sentence instead of into a list.
  const [, field, reason] = /^body\.([a-z_]+) (.+)$/s.exec(problem.message) ?? [];
  if (problem.status === 422 && errors.length === 0 && field && reason) faults[field] = capital(reason);
  return faults;
}

export function isEmpty(faults: Faults): boolean {
  return Object.keys(faults).length === 0;
}

const KEY = /^[a-z][a-z0-9_-]{0,31}$/;

export function isKey(text: string): boolean {
  return KEY.test(text);
}

/** Whether a text can be the name of an agent or a council. */
export function isName(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: The API refuses them.
  return text.trim() !== "" && text.length <= 64 && !/[\x00-\x1f\x7f-\x9f@`]/.test(text);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
