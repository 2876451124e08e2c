import { BATCH, CLIENT, type Refused, UPDATES, valid } from './bad-requests.ts'

/** Requests whose path, query or Idempotency-Key must be refused. */

const badQuery = (name: string, path: string, ...fields: string[]): Refused => ({
  name,
  method: 'GET',
  path,
  status: 400,
  code: 'invalid_request',
  fields,
})

const LONG = 'k'.repeat(257)
const at = (client: string, rest = '') => `/clients/${client}/progress${rest}`
const badPath = (name: string, path: string, ...fields: string[]): Refused[] => [
  { name, method: 'GET', path, status: 400, code: 'invalid_request', fields },
  { name: `${name}, posting`, path, body: valid, status: 400, code: 'invalid_request', fields },
]

export const badPaths: Refused[] = [
  ...badPath('a percent sign without digits', at('%')),
  ...badPath('a percent sign with letters', at('%ZZ')),
  ...badPath('UTF-8 cut in a character, in the path', at('%E2%82')),
  ...badPath('a surrogate, in the path', at('%ED%A0%80')),
  ...badPath('overlong UTF-8, in the path', at('%C0%80')),
  ...badPath('NUL in the client', at('krn%00x'), 'clientKrn'),
  ...badPath('a client of 257 characters', at(LONG), 'clientKrn'),
  ...badPath('a client of 257 letters of two bytes', at(encodeURIComponent('é'.repeat(257))), 'clientKrn'),
  ...badPath('a client of 257 emoji', at(encodeURIComponent('😀'.repeat(257))), 'clientKrn'),
  ...badPath('an empty client', at(''), 'clientKrn'),
  badQuery('an id that is none', at('c', '/7'), 'id'),
  badQuery('an id with SQL in it', at('c', `/${encodeURIComponent("'; drop table records; --")}`), 'id'),
  badQuery('an id with NUL', at('c', '/%00'), 'id'),
  badQuery('an id and a client that are both wrong', at(LONG, '/7/events'), 'clientKrn', 'id'),
]

const ID = '00000000-0000-4000-8000-000000000000'
const cursor = (...parts: unknown[]) => Buffer.from(JSON.stringify(parts)).toString('base64url')
/** Query values that are no whole number from 1 on. */
const NO_LIMITS = [
  '0',
  '-1',
  '1e9',
  'abc',
  '',
  '1.5',
  '0x10',
  '1e1',
  'true',
  'null',
  '%2010',
  '10%20',
  '%2B5',
  '%D9%A1',
  '9'.repeat(30),
]

export const badQueries: Refused[] = [
  ...['', `/${ID}/events`, `/${ID}/refusals`, `/${ID}/errors`, `/${ID}/warnings`].flatMap((rest) =>
    NO_LIMITS.map((limit) =>
      badQuery(
        `limit=${limit.slice(0, 10)} at ${rest.split('/').pop() || 'list'}`,
        at('c', `${rest}?limit=${limit}`),
        'limit',
      ),
    ),
  ),
  badQuery('a limit of 1,001 records', at('c', '?limit=1001'), 'limit'),
  badQuery('a limit of 10,001 errors', at('c', `/${ID}/errors?limit=10001`), 'limit'),
  badQuery('limit twice', at('c', '?limit=1&limit=2'), 'limit'),
  badQuery('filename twice', at('c', '?filename=a&filename=b'), 'filename'),
  badQuery('email twice', at('c', '?email=a&email=b'), 'email'),
  badQuery('two that are wrong', at('c', '?limit=0&email='), 'email', 'limit'),
  badQuery('an empty filename', at('c', '?filename='), 'filename'),
  badQuery('an empty email', at('c', '?email='), 'email'),
  badQuery('NUL in the filename', at('c', '?filename=a%00b'), 'filename'),
  badQuery('NUL in the email', at('c', '?email=%00'), 'email'),
  badQuery('a filename of 1,025 characters', at('c', `?filename=${'f'.repeat(1025)}`), 'filename'),
  badQuery('NUL in the filename of a live view', at('c', '/stream?filename=%00'), 'filename'),
  badQuery('an empty filename of a live view', at('c', '/stream?filename='), 'filename'),
  badQuery('a parameter that is misspelt', at('c', '?fliename=a.csv'), 'fliename'),
  badQuery('a parameter in capitals', at('c', '?Limit=5'), 'Limit'),
  badQuery('a parameter of another path', at('c', `/${ID}/events?filename=a.csv`), 'filename'),
  badQuery('a token in the query', at('c', '/stream?access_token=abc'), 'access_token'),
  badQuery(
    'a parameter that every object has',
    at('c', '?constructor=a&__proto__=b'),
    'constructor',
    '__proto__',
  ),
  badQuery('a parameter with NUL in its name', at('c', '?limit%00=1'), 'limit\0'),
  badQuery('a parameter without a name', at('c', '?=1'), ''),
  badQuery('one that is misspelt and one that is wrong', at('c', '?emial=a&limit=0'), 'emial', 'limit'),
  ...['-1', 'abc', '1.5', '', 'true', '9007199254740992', '1e3'].flatMap((after) =>
    ['events', 'refusals', 'errors'].map((rest) =>
      badQuery(`after=${after} at ${rest}`, at('c', `/${ID}/${rest}?after=${after}`), 'after'),
    ),
  ),
  ...Object.entries({
    garbage: 'garbage',
    'an empty cursor': '',
    'a cursor of 201 characters': 'A'.repeat(201),
    'bytes that are not UTF-8': Buffer.from([0xff, 0xfe, 0x00]).toString('base64url'),
    'JSON that is no list': Buffer.from('{}').toString('base64url'),
    'an empty list': cursor(),
    'one part': cursor(1),
    'three parts': cursor(1, ID, 1),
    'an id that is none': cursor(1, '-'.repeat(36)),
    'an id in a list': cursor(1, [ID]),
    'no id': cursor(1, null),
    'a time in words': cursor('now', ID),
    'half a millisecond': cursor(0.5, ID),
    'a time before all times': cursor(-8.6e15, ID),
    'a time 250,000 years ago': cursor(-8e15, ID),
    'a time in 270,000 years': cursor(8.6e15, ID),
    'deep nesting': Buffer.from('['.repeat(100)).toString('base64url'),
  }).map(([name, after]) => badQuery(`as cursor ${name}`, at('c', `?after=${after}`), 'after')),
  badQuery('a cursor twice', at('c', `?after=${cursor(1, ID)}&after=${cursor(1, ID)}`), 'after'),
]

const unknown = (method: string, path: string): Refused => ({
  name: `${method} ${path}`,
  method,
  path,
  status: 404,
  code: 'not_found',
})

export const nowhere: Refused[] = [
  unknown('POST', '/'),
  unknown('GET', '/index.html'),
  unknown('GET', '/assets/nothing.js'),
  unknown('GET', '/clients'),
  unknown('GET', '/clients/c'),
  unknown('GET', '/CLIENTS/c/progress'),
  unknown('GET', '/clients/a/b/progress'),
  unknown('GET', '//clients/c/progress'),
  unknown('GET', '/../clients/c/progress'),
  // A method that nothing listens to: its body is not even looked at.
  unknown('PUT', UPDATES),
  unknown('DELETE', UPDATES),
  unknown('PATCH', UPDATES),
  unknown('OPTIONS', UPDATES),
  unknown('PROPFIND', UPDATES),
  unknown('TRACE', UPDATES),
  unknown('GET', `${CLIENT}/progress/${ID}`),
  unknown('GET', `${CLIENT}/progress/${ID}/events`),
  unknown('GET', `${CLIENT}/progress/${ID}/refusals`),
  unknown('GET', `${CLIENT}/progress/${ID}/errors`),
  unknown('GET', `${CLIENT}/progress/${ID}/errors.csv`),
  unknown('GET', `${CLIENT}/progress?filename=nobody-reported-on-it.csv`),
]

const keys = {
  'an empty Idempotency-Key': '',
  'an Idempotency-Key of two quotes': '""',
  'an Idempotency-Key of spaces': '   ',
  'an Idempotency-Key of 256 characters': 'k'.repeat(256),
  'an Idempotency-Key with a tab': 'a\tb',
  'an Idempotency-Key with a letter beyond ASCII': 'Schl\u00fcssel',
}

export const badKeys: Refused[] = Object.entries(keys).flatMap(([name, key]) =>
  [UPDATES, BATCH].map((path) => ({
    name: `${name}, ${path === BATCH ? 'batch' : 'update'}`,
    path,
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: path === BATCH ? `[${valid}]` : valid,
    status: 400,
    code: 'invalid_request',
    fields: ['header Idempotency-Key'],
  })),
)
