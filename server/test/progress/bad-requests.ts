import type { RawRequest } from './raw-http.ts'

/**
 * Requests that must be refused, each with the status, the code and the fields that its answer names.
 * Bodies are text or bytes, for most of what is wrong here JSON.stringify cannot write.
 */
export const CLIENT = '/clients/krn:clnt:bad'
export const UPDATES = `${CLIENT}/progress`
export const BATCH = `${UPDATES}/batch`
export const MAX_SAFE = Number.MAX_SAFE_INTEGER
/** A file whose rows done are as many as can be counted. */
export const FULL_FILE = 'full.csv'

/** Without `method` and `path` an update is posted; without `headers` it is called JSON. */
export interface Refused {
  name: string
  method?: string
  path?: string
  headers?: Record<string, string>
  body?: RawRequest['body']
  status: number
  code: string
  /** Every field that `errors` names, in order; not checked when absent. */
  fields?: string[] | undefined
}

const badJson = (name: string, body: RawRequest['body'], fields?: string[]): Refused => ({
  name,
  body: body!,
  status: 400,
  code: 'invalid_json',
  ...(fields && { fields }),
})
const badBody = (name: string, body: string, ...fields: string[]): Refused => ({
  name,
  body,
  status: 400,
  code: 'invalid_request',
  fields,
})

/** An update as JSON text; what is in `more` is written as it stands, so it may be what JSON.stringify cannot write. */
export function updateText(more: Record<string, string> = {}, counts: Record<string, string> = {}): string {
  const members = (values: Record<string, string>) =>
    Object.entries(values).map(([name, value]) => `${JSON.stringify(name)}:${value}`)
  const countsText = `{${members({ done: '1', warn: '0', failed: '0', ...counts })}}`
  return `{${members({ filename: '"a.csv"', counts: countsText, ...more })}}`
}

export const valid = updateText()
const utf8 = (...parts: (string | number[])[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part))))
const issue = (text: string) => updateText({ errors: `[${text}]` })

export const notJson: Refused[] = [
  badJson('no bytes at all', ''),
  badJson('nothing but spaces', ' \r\n\t '),
  badJson('an object that is opened only', '{'),
  badJson('a body cut in a string', valid.slice(0, 15)),
  badJson('a body cut in a number', valid.slice(0, -2)),
  badJson('a comma before the end', '{"filename":"a.csv",}'),
  badJson('a second document', `${valid}${valid}`),
  badJson('garbage after the document', `${valid} x`),
  badJson('single quotes', "{'filename':'a.csv'}"),
  badJson('names without quotes', '{filename:"a.csv"}'),
  badJson('a comment', `/* hello */${valid}`),
  badJson('NaN', updateText({}, { done: 'NaN' })),
  badJson('Infinity', updateText({}, { done: 'Infinity' })),
  badJson('a hexadecimal number', updateText({}, { done: '0x10' })),
  badJson('a number with a leading zero', updateText({}, { done: '01' })),
  badJson('a number with a plus', updateText({}, { done: '+1' })),
  badJson('a number without digits after the point', updateText({}, { done: '1.' })),
  badJson('an unknown escape', updateText({ filename: '"a\\x41"' })),
  badJson('a line break in a string', updateText({ filename: '"a\nb"' })),
  badJson('a NUL byte in a string', updateText({ filename: '"a\0b"' })),
  badJson('a NUL byte between tokens', `\0${valid}`),
  badJson('a byte order mark', utf8([0xef, 0xbb, 0xbf], valid)),
  badJson('UTF-16, little endian', Buffer.from(`\ufeff${valid}`, 'utf16le')),
  badJson('UTF-16, big endian', Buffer.from(`\ufeff${valid}`, 'utf16le').swap16()),
  badJson('UTF-16 without a byte order mark', Buffer.from(valid, 'utf16le')),
  badJson('a Latin-1 letter', utf8('{"filename":"Stra', [0xdf], 'e.csv"}')),
  badJson('UTF-8 cut in a character', utf8('{"filename":"', [0xe2, 0x82], '"}')),
  badJson('NUL as overlong UTF-8', utf8('{"filename":"', [0xc0, 0x80], '"}')),
  badJson('a surrogate as UTF-8', utf8('{"filename":"', [0xed, 0xa0, 0x80], '"}')),
  badJson('bytes that never occur in UTF-8', utf8('{"filename":"', [0xff, 0xfe], '"}')),
  badJson('compressed bytes', utf8([0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 5, 0])),
  badJson('a name twice', '{"filename":"a.csv","filename":"b.csv","counts":{"done":1,"warn":0,"failed":0}}'),
  badJson('a name twice, once with an escape', `{"filename":"a.csv","file\\u006eame":"b.csv","counts":{}}`),
  badJson('a name twice further down', updateText({ counts: '{"done":1,"done":2,"warn":0,"failed":0}' })),
  badJson(
    '__proto__ twice',
    updateText({ __proto: '1' }).replace('"__proto":1', '"__proto__":1,"__proto__":2'),
  ),
  badJson('a name twice in what would be ignored', updateText({ createdAt: '{"a":1,"a":2}' })),
  badJson('400,000 nested arrays', '['.repeat(400_000) + ']'.repeat(400_000)),
  badJson('400,000 arrays that are only opened', '['.repeat(400_000)),
  badJson('400,000 nested objects', `${'{"a":'.repeat(400_000)}1${'}'.repeat(400_000)}`),
  badJson('33 levels in what would be ignored', updateText({ createdAt: '['.repeat(32) + ']'.repeat(32) })),
  badJson('an escaped NUL', updateText({ filename: '"a\\u0000"' }), ['filename']),
  badJson('an escaped high surrogate alone', issue('{"line":1,"message":"\\ud83d"}'), ['errors[0].message']),
  badJson('an escaped low surrogate alone', issue('{"line":1,"message":"\\uDE00"}'), ['errors[0].message']),
  badJson('a pair of surrogates the wrong way round', updateText({ filename: '"\\ude00\\ud83d"' }), [
    'filename',
  ]),
  badJson('an escaped NUL in a name', updateText({ 'a\0': '1' }), ['body']),
  badJson('an escaped NUL as the whole document', '"\\u0000"', ['body']),
  badJson('bad text in two fields', issue('{"line":1,"message":"\\u0000"},{"line":1,"message":"\\ud800"}'), [
    'errors[0].message',
    'errors[1].message',
  ]),
]

export const notAnUpdate: Refused[] = [
  ...['null', 'true', '7', '"a.csv"', '[]', `[${valid}]`].map((text) =>
    badBody(`${text.slice(0, 10)} as the document`, text, 'body'),
  ),
  badBody('an empty object', '{}', 'filename', 'counts'),
  badBody('no filename', '{"counts":{"done":1,"warn":0,"failed":0}}', 'filename'),
  badBody('no counts', '{"filename":"a.csv"}', 'counts'),
  badBody('empty counts', updateText({ counts: '{}' }), 'counts.done', 'counts.warn', 'counts.failed'),
  badBody('counts without one of the three', updateText({ counts: '{"done":1,"failed":0}' }), 'counts.warn'),
  badBody('an unknown field', updateText({ extra: '1' }), 'extra'),
  badBody('a field in other letters', updateText({ IsLast: 'true' }), 'IsLast'),
  badBody('the client in the body', updateText({ clientKrn: '"krn:clnt:other"' }), 'clientKrn'),
  badBody('the e-mail in the body', updateText({ email: '"bob@example.com"' }), 'email'),
  badBody('an unknown count', updateText({}, { skipped: '1' }), 'counts.skipped'),
  badBody('an unknown field of an issue', issue('{"line":1,"message":"m","column":2}'), 'errors[0].column'),
  badBody('__proto__', updateText({ ['__proto__']: '{"isLast":true}' }), '__proto__'),
  badBody('__proto__ of counts', updateText({}, { ['__proto__']: '{"done":1}' }), 'counts.__proto__'),
  badBody(
    'counts from __proto__ only',
    '{"filename":"a.csv","counts":{"__proto__":{"done":1,"warn":0,"failed":0}}}',
    'counts.__proto__',
    'counts.done',
    'counts.failed',
    'counts.warn',
  ),
  badBody(
    'constructor.prototype',
    updateText({ constructor: '{"prototype":{"isLast":true}}' }),
    'constructor',
  ),
  badBody('a name with slashes and tildes', updateText({ 'a/b~c': '1' }), 'a/b~c'),
  badBody('an empty name', updateText({ '': '1' }), 'body'),
  ...['7', 'null', 'true', '[]', '["a.csv"]', '{}', '""'].map((text) =>
    badBody(`filename ${text}`, updateText({ filename: text }), 'filename'),
  ),
  badBody('a filename of 1,025 bytes', updateText({ filename: `"${'a'.repeat(1025)}"` }), 'filename'),
  badBody(
    'a filename of 1,025 bytes in 513 characters',
    updateText({ filename: `"a${'é'.repeat(512)}"` }),
    'filename',
  ),
  badBody(
    'a filename of 1,028 bytes in 257 emoji',
    updateText({ filename: `"${'😀'.repeat(257)}"` }),
    'filename',
  ),
  ...[
    '"1"',
    'true',
    'null',
    '[1]',
    '{}',
    '1.5',
    '-1',
    '1e400',
    '-1e400',
    '9007199254740992',
    '1e19',
    `1${'0'.repeat(400)}`,
  ].map((text) => badBody(`done ${text.slice(0, 20)}`, updateText({}, { done: text }), 'counts.done')),
  ...['null', '[]', '"1"', '7', '[1,0,0]'].map((text) =>
    badBody(`counts ${text}`, updateText({ counts: text }), 'counts'),
  ),
  ...['"7"', 'null', 'true', '[7]', '-1', '0.5', '9007199254740992', '1e400'].map((text) =>
    badBody(`total ${text}`, updateText({ total: text }), 'total'),
  ),
  ...['"true"', '1', '0', 'null', '[]', '[true]'].map((text) =>
    badBody(`isLast ${text}`, updateText({ isLast: text }), 'isLast'),
  ),
  ...['null', '{}', '"x"', '1', 'true'].map((text) =>
    badBody(`errors ${text}`, updateText({ errors: text }), 'errors'),
  ),
  ...['null', '"x"', '7', '[]'].map((text) => badBody(`an error that is ${text}`, issue(text), 'errors[0]')),
  badBody('an error without fields', issue('{}'), 'errors[0].line', 'errors[0].message'),
  ...['"1"', 'null', 'true', '-1', '1.5', '9007199254740992', '1e400', '[1]'].map((text) =>
    badBody(`line ${text}`, issue(`{"line":${text},"message":"m"}`), 'errors[0].line'),
  ),
  ...['null', '7', '["m"]', '{}', 'false'].map((text) =>
    badBody(`message ${text}`, issue(`{"line":1,"message":${text}}`), 'errors[0].message'),
  ),
  badBody(
    'a message of 4,097 characters',
    issue(`{"line":1,"message":"${'m'.repeat(4097)}"}`),
    'errors[0].message',
  ),
  badBody(
    'a message of 4,097 emoji',
    issue(`{"line":1,"message":"${'😀'.repeat(4097)}"}`),
    'errors[0].message',
  ),
  badBody(
    'a message that is one letter with 100,000 accents',
    issue(`{"line":1,"message":"a${'\u0301'.repeat(100_000)}"}`),
    'errors[0].message',
  ),
  badBody('10,001 errors', issue(new Array(10_001).fill('{"line":1,"message":""}').join()), 'errors'),
  badBody(
    'a bad warning among good ones',
    updateText({ warnings: '[{"line":1,"message":"m"},{"line":2,"message":7},{"line":3,"message":"m"}]' }),
    'warnings[1].message',
  ),
  badBody(
    'many bad fields, each of them named',
    '{"filename":"","counts":{"done":-1,"warn":"0","failed":null},"total":1.5,"isLast":"no","errors":[{"line":"x","message":"m"}],"warnings":{},"extra":1}',
    'filename',
    'counts.done',
    'counts.warn',
    'counts.failed',
    'total',
    'isLast',
    'errors[0].line',
    'warnings',
    'extra',
  ),
  badBody('counts that add up to 2^53', updateText({}, { done: `${MAX_SAFE}`, warn: '1' }), 'counts'),
  badBody(
    'three times 2^53 − 1',
    updateText({}, { done: `${MAX_SAFE}`, warn: `${MAX_SAFE}`, failed: `${MAX_SAFE}` }),
    'counts',
  ),
  badBody('one row more than a record can count', updateText({ filename: `"${FULL_FILE}"` }), 'counts'),
  badBody(
    'one failed row more than a record can count',
    updateText({ filename: `"${FULL_FILE}"` }, { done: '0', failed: '1' }),
    'counts',
  ),
]

export const oversized: Refused[] = [
  { name: '4 MiB and one byte', body: valid.padEnd(4 * 1024 * 1024 + 1), status: 413, code: 'too_large' },
  { name: '20 MB', body: valid.padEnd(20_000_000), status: 413, code: 'too_large' },
  {
    name: '5 MB without Content-Length',
    body: new Array(5).fill(Buffer.alloc(1_000_000, 0x20)),
    status: 413,
    code: 'too_large',
  },
  {
    name: '5 MB for a batch',
    path: BATCH,
    body: `[${valid}]`.padEnd(5_000_000),
    status: 413,
    code: 'too_large',
  },
  // Each fault would repeat the name: 300,000 times 1 MB.
  badJson(
    'a name of 1 MB over 300,000 bad texts',
    `{"${'n'.repeat(1e6)}":[${new Array(300_000).fill('"\\u0000"')}]}`,
  ),
  {
    ...badBody('300,000 unknown fields', `{${Array.from({ length: 300_000 }, (_, i) => `"f${i}":0`)}}`),
    fields: undefined,
  },
  badBody('an unknown field of 1 MB', updateText({ ['n'.repeat(1e6)]: '1' }), 'n'.repeat(200)),
]

export const notCalledJson: Refused[] = [
  { name: 'no content type', headers: {}, body: valid },
  ...[
    'text/plain',
    'text/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/json-patch+json',
    'application/jsonx',
    'application/octet-stream',
    'nonsense',
    '',
  ].map((type) => ({
    name: `content type "${type}"`,
    headers: { 'content-type': type },
    body: valid,
  })),
].map((request) => ({ ...request, status: 415, code: 'unsupported_media_type' }))

const badBatch = (name: string, body: string, ...fields: string[]): Refused => ({
  ...badBody(name, body, ...fields),
  path: BATCH,
})

export const badBatches: Refused[] = [
  badBatch('an update instead of a list', valid, 'body'),
  badBatch('null instead of a list', 'null', 'body'),
  badBatch('an empty list', '[]', 'body'),
  badBatch('1,001 items', `[${new Array(1_001).fill(valid)}]`, 'body'),
  { ...badJson('a batch with a name twice in one item', `[${valid},{"id":"1","id":"2"}]`), path: BATCH },
  { ...badJson('a batch of 400,000 arrays', '['.repeat(400_000) + ']'.repeat(400_000)), path: BATCH },
  {
    ...badJson('a batch with an escaped NUL', `[${updateText({ id: '"\\u0000"' })}]`, ['[0].id']),
    path: BATCH,
  },
]
