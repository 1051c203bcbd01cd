/** Runs load now and again every so often, one at a time; gives what ends it. */
export function poll(load: (signal: AbortSignal) => Promise<void>, every: number): () => void {
  const abort = new AbortController();
  let next = 0;
  const go = async () => {
    await load(abort.signal);
    if (!abort.signal.aborted) next = setTimeout(go, every) as unknown as number;
  };
  // Later, so that an effect that begins this does not depend on what load reads.
  void Promise.resolve().then(go);
  return () => {
    abort.abort();
    clearTimeout(next);
  };
}
