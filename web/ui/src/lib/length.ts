const units: Record<string, number> = { h: 3600, m: 60, s: 1, ms: 1e-3, µs: 1e-6, ns: 1e-9 };

/** A length as the server writes it ("2m0s", "1.83s"), in seconds. */
export function seconds(text: string): number {
  let sum = 0;
  for (const [, n, unit] of text.matchAll(/([\d.]+)(ms|µs|ns|h|m|s)/g)) sum += Number(n) * (units[unit!] ?? 0);
  return sum;
}
