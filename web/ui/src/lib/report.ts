import { ms } from './format';
import type { Figures, Losses, SignedOff } from './types';

export type Standing = 'running' | 'provisional' | 'open' | 'signed' | 'restated';

/** How far a shift's figures are: still counted, closed, signed off, or changed since. */
export function standing(f: Figures, now: number): Standing {
  if (f.signed_off) return f.signed_off.restated ? 'restated' : 'signed';
  if ((ms(f.to) ?? 0) >= now - 60_000 && f.provisional) return 'running';
  return f.provisional ? 'provisional' : 'open';
}

export const factors = ['oee', 'availability', 'performance', 'quality', 'coverage', 'teep'] as const;
export const counts = ['good', 'reject', 'total', 'stops', 'small_stops', 'changeovers'] as const;
export const losses: (keyof Losses)[] = [
  'productive_s', 'unplanned_stop_s', 'planned_stop_s', 'small_stop_s', 'reduced_speed_s', 'production_reject_s', 'startup_reject_s', 'unknown_s', 'schedule_s',
];

/** The figures that were signed, where they are others than those of now. */
export function signedFigures(s: SignedOff | undefined): Figures | null {
  return s?.restated ? s.figures : null;
}
