/** An amount that the API takes: digits and at most one point, 12 digits on either side. */
export function isAmount(text: string): boolean {
  return /^(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?$/.test(text.trim());
}
