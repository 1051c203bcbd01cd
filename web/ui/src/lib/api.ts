/** What a request was refused with: an RFC 9457 problem document, or silence. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}

async function answer<T>(path: string, init?: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch('/api/v1' + path, init);
  } catch (e) {
    if (e instanceof DOMException && e.name === 'AbortError') throw e;
    throw new Problem(0, '');
  }
  if (response.ok) return (await response.json()) as T;
  let detail = `HTTP ${response.status}`;
  try {
    detail = ((await response.json()) as { detail?: string }).detail ?? detail;
  } catch {
    // not a problem document: something between here and LineTwin answered
  }
  throw new Problem(response.status, detail);
}

export function get<T>(path: string, query: Record<string, string> = {}, signal?: AbortSignal): Promise<T> {
  const q = new URLSearchParams(query).toString();
  return answer<T>(path + (q && '?' + q), { signal });
}

export function post<T>(path: string, body: unknown): Promise<T> {
  return answer<T>(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}
