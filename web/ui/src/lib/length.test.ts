import { expect, test } from 'vitest';
import { seconds } from './length';

test('lengths as the server writes them', () => {
  for (const [text, want] of [['2m0s', 120], ['1h30m0s', 5400], ['1.83s', 1.83], ['500ms', 0.5], ['0s', 0]] as const) {
    expect(seconds(text), text).toBeCloseTo(want, 9);
  }
});
