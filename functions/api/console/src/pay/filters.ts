/** The filters of the ledger in the address and in the API. An empty value selects rows without a value. */

export const FILTERS = [
  "account",
  "agent_key",
  "model_alias",
  "user_id",
  "api_key_id",
  "purpose",
  "reason",
  "provider",
  "session_id",
  "turn_id",
] as const;

export type FilterName = (typeof FILTERS)[number];
export type Filters = Partial<Record<FilterName, string>>;

export function filtersOf(query: URLSearchParams): Filters {
  const filters: Filters = {};
  for (const name of FILTERS) {
    const value = query.get(name);
    if (value !== null) filters[name] = value;
  }
  return filters;
}

export function without(filters: Filters, name: FilterName): Filters {
  const { [name]: _, ...others } = filters;
  return others;
}
