import { live } from './live.svelte';
import { moment } from './format';
import { isKey, t } from './words.svelte';

// What the server says in English, by the key of the same text in the pages'
// languages. What a pattern catches is filled in as {a}, {b} and {c}.
const known: [RegExp, string][] = [
  [/^no planned time in this window$/, 'said.noplan'],
  [/^none of the planned time is known$/, 'said.unknown'],
  [/^a product that was made has no ideal cycle$/, 'said.nocycle'],
  [/^pieces were counted but no run time$/, 'said.norun'],
  [/^the machine did not run$/, 'said.idle'],
  [/^no pieces were made$/, 'said.nopieces'],
  [/^no data yet$/, 'live.none'],
  [/^no state was read yet$/, 'said.nostate'],
  [/^no data since (.+)$/, 'said.nodata'],
  [/^state is bad: (.*)$/, 'said.badstate'],
  [/^counter is bad: (.*) is no count$/, 'said.nocount'],
  [/^counter is bad: (.*)$/, 'said.badcount'],
  [/^state "(.*)" has no meaning$/, 'said.nomeaning'],
  [/^state "(.*)" means unknown$/, 'said.meansunknown'],
  [/^no data for more than (.+)$/, 'said.silent'],
  [/^every signal is bad: (.*)$/, 'said.allbad'],
  [/^no answer within (.+)$/, 'said.noanswer.in'],
  [/^(?:.*: )?no answer(?: in time)?$/, 'said.noanswer'],
  [/^(?:.*: )?connection refused$/, 'said.refused'],
  [/^(?:.*: )?(?:connection reset by peer|the connection was reset|the (?:device|server) closed the connection)$/, 'said.closed'],
  [/^(?:.*: )?i\/o timeout$/, 'said.noanswer'],
  [/^not connected$/, 'link.down'],
  [/^clock of gateway (.+) is (.+) off$/, 'said.clock.gateway'],
  [/^the twin's clock was set by (.+)$/, 'said.clock.set'],
  [/^gateway (.+): its clock is ahead: data of (.+) is in history only until then$/, 'said.clock.ahead'],
  [/^gateway (.+): data older than 8 days is in history only: (.+)$/, 'said.clock.old'],
  [/^gateway clock not set: time unknown$/, 'said.clock.unset'],
  [/^gateway clock more than 60 s ahead: time unknown$/, 'said.clock.future'],
  [/^messages on our topics that are not Sparkplug B$/, 'said.foreign'],
  [/^messages dropped because they came faster than they could be taken; gateways send them again$/, 'said.overload'],
  [/^metrics that no birth announced$/, 'said.unresolved'],
  [/^the gateway is away$/, 'said.away'],
  [/^its value is of kind (\w+), the signal of kind (\w+)$/, 'said.kind'],
  [/^(?:partial write: )?field type conflict: input field "(.+)" on measurement .+ is type (\w+), already exists as type (\w+)/, 'said.kind.field'],
  [/^save the type of signal .+: one name of a signal has one type: (\S+) is (.+), not (.+)$/, 'said.type'],
  [/^readings that history refused and set aside$/, 'said.quarantine'],
  [/^polled in place of subscribed, because the server says (.+): (.+)$/, 'said.polled'],
  [/^deadband applied by the gateway, because the server does not \((.+)\): (.+)$/, 'said.deadband'],
  [/^deadband_percent has no effect, every change is told, because (.+): (.+)$/, 'said.norange'],
  [/^the server's queues lost (\d+) values since (.+), most of: (.+)$/, 'said.queues'],
  [/^the server made (publishing|sampling|queue)(.*) in place of (.+)$/, 'said.revised'],
  [/^two processes speak under the name of gateway (\S+): (.+); and (.+)$/, 'said.rivals'],
  [/^gateway (\S+) is another installation \((.+)\) than before \((.+)\), which still held \d+ readings$/, 'said.replaced'],
  [/^gateway (\S+) has an older state of its buffer's folder, or a copy of it \((.+)\); before: (.+)$/, 'said.restored'],
  [/^machine (\S+) is told of by two gateways: (\S+) and (\S+)$/, 'said.shared'],
  [/^history does not store since (\S+): (.*)$/, 'said.history.down'],
  [/^history stores again since (\S+); before that: (.*)$/, 'said.history.up'],
  [/^more waits for history than memory may hold; gateways keep the rest$/, 'said.full'],
];

const stamp = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;

/** A text of the server in the reader's language, its times in the site's zone; one that is not known stays as it is. */
export function said(text: string | undefined): string {
  if (!text) return '';
  for (const [pattern, key] of known) {
    const found = pattern.exec(text);
    if (!found || !isKey(key)) continue;
    const part = (i: number) => {
      const text = found[i] ?? '';
      return stamp.test(text) ? moment(Date.parse(text), live.now, live.zone, true) : said(text);
    };
    return t(key, { a: part(1), b: part(2), c: part(3) });
  }
  return text;
}
