/** One of the things that are wrong with a request. */
export interface Fault {
  location: string;
  message: string;
  value?: string;
}

/** What a request was refused with: an RFC 9457 problem document, or silence. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly errors: Fault[] = [],
  ) {
    super(detail);
  }
}

async function answered(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch('/api/v1' + path, init);
  } catch (e) {
    if (e instanceof DOMException && e.name === 'AbortError') throw e;
    throw new Problem(0, '');
  }
  if (response.ok) return response;
  let detail = `HTTP ${response.status}`;
  let errors: Fault[] = [];
  try {
    const problem = (await response.json()) as { detail?: string; errors?: Fault[] | null };
    detail = problem.detail ?? detail;
    errors = problem.errors ?? [];
  } catch {
    // not a problem document: something between here and LineTwin answered
  }
  throw new Problem(response.status, detail, errors);
}

async function answer<T>(path: string, init?: RequestInit): Promise<T> {
  return (await (await answered(path, init)).json()) as T;
}

export function get<T>(path: string, query: Record<string, string> = {}, signal?: AbortSignal): Promise<T> {
  return answer<T>(asked(path, query), { signal });
}

/** What is no JSON. */
export async function getText(path: string, query: Record<string, string> = {}): Promise<string> {
  return (await answered(asked(path, query))).text();
}

export function postText<T>(path: string, query: Record<string, string>, body: Blob): Promise<T> {
  return answer<T>(asked(path, query), { method: 'POST', headers: { 'Content-Type': 'text/csv' }, body });
}

function asked(path: string, query: Record<string, string>): string {
  const q = new URLSearchParams(query).toString();
  return path + (q && '?' + q);
}

export function post<T>(path: string, body: unknown): Promise<T> {
  return answer<T>(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}
