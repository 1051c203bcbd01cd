import type { Key } from '../words/en';
import type { Class, Machine } from './types';

/** How a state looks and is called; the same on tiles, timelines and lists. */
export type Look = 'run' | 'small' | 'stop' | 'changeover' | 'planned_stop' | 'starved' | 'blocked' | 'not_scheduled' | 'unknown';

/** A short stop of the machine's own is a small stop; waiting stays waiting. */
export function look(c: Class, small: boolean): Look {
  return c === 'stop' && small ? 'small' : c;
}

export function stateWord(l: Look): Key {
  return `state.${l}`;
}

/** Whether the state shouts: its colour fills the whole field. */
export function loud(l: Look): boolean {
  return l === 'stop' || l === 'small' || waits(l);
}

/** Whether the machine only waits or is set up: beside a stop it shows a tint. */
export function waits(l: Look): boolean {
  return l === 'changeover' || l === 'starved' || l === 'blocked';
}

/** Whether the machine's device cannot be reached. */
export function unplugged(m: Machine): boolean {
  return m.link === 'down' || m.link === 'connecting';
}
