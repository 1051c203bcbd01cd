import { get, post, Problem } from './api';
import { session } from './session.svelte';
import type { Effect, Entry, Stop, Time } from './types';
import { failure } from './text';
import { t } from './words.svelte';

/** What somebody says of one thing; who says so is the session's. */
export interface Saying {
  kind: Entry['kind'];
  key: string;
  from?: Time;
  value: unknown;
  why?: string;
}

/** Says it; resolves only once LineTwin has taken it. */
export function tell(s: Saying): Promise<Entry> {
  return post<Entry>('/entries', { ...s, by: session.name });
}

/** The shifts whose figures it would change; nothing is kept. */
export function preview(s: Saying): Promise<Effect[]> {
  return post<Effect[]>('/entries/preview', { ...s, by: session.name || 'preview' });
}

/** Takes back what was said. */
export function takeBack(id: number): Promise<Entry> {
  return post<Entry>('/entries', { undoes: id, by: session.name });
}

/** What was said of a kind and key, or all, the newest first. */
export function said(kind?: Entry['kind'], key = '', signal?: AbortSignal): Promise<Entry[]> {
  return get<Entry[]>('/entries', { ...(kind && { kind }), ...(key && { key }) }, signal);
}

/** The word on a stop: what it had besides stays. */
export function ofStop(stop: Stop, word: { reason?: string; comment?: string }): Saying {
  const value = { reason: word.reason ?? stop.reason, comment: word.comment ?? stop.comment };
  return { kind: 'stop', key: stop.id, value: { ...(value.reason && { reason: value.reason }), ...(value.comment && { comment: value.comment }) } };
}

/** What still holds of what was said, the newest first: neither undos nor what they took back. */
export function standing(all: Entry[]): Entry[] {
  const gone = new Set(all.map((e) => e.undoes).filter(Boolean));
  return all.filter((e) => !e.undoes && !gone.has(e.id));
}

/** Why something was not taken, in words that say what to do. */
export function refusal(e: unknown): string {
  if (e instanceof Problem) {
    if (e.status === 403) return t('say.denied');
    if (e.status === 409) return t('say.conflict');
    if (e.status === 404) return t('say.gone');
    if (e.status === 400 || e.status === 422) return t('say.wrong', { error: e.message });
    if (e.status >= 500) return t('say.failed', { error: e.message });
  }
  return failure(e);
}
