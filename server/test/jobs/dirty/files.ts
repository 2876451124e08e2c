import { Buffer } from 'node:buffer'

/**
 * Files as people, spreadsheets and broken programs make them, each with what has to come of it, to the letter. A row
 * is `number|name|email|phone|company`, an error `number message`; a fault is what the job as a whole fails with.
 */
export interface DirtyFile {
  what: string
  content: string | Buffer
  rows?: string[]
  errors?: string[]
  fault?: string
}

const HEAD = 'name,email,phone,company'
const ANN = 'Ann,ann@example.com,1,Acme'
const BOB = 'Bob,bob@example.com,2,Bits'
const ANN_IN_2 = '2|Ann|ann@example.com|1|Acme'
const BOB_IN_3 = '3|Bob|bob@example.com|2|Bits'
const BOTH = [ANN_IN_2, BOB_IN_3]
const TEXT = `${HEAD}\n${ANN}\n${BOB}\n`
const MiB = 1024 * 1024

const bytes = (...parts: (string | number[])[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part))))
const utf16le = (text: string) => Buffer.from(text, 'utf16le')
const utf16be = (text: string) => utf16le(text).swap16()
const latin1 = (text: string) => Buffer.from(text, 'latin1')
const rowOf = (byteLength: number, email: string) => `L,${email},,`.padEnd(byteLength, 'c')
const notText = (byte: number) => `row: holds bytes that are not text in UTF-8, at byte ${byte} of the row`

const DELIMITERS_AND_QUOTES: DirtyFile[] = [
  { what: 'semicolons', content: TEXT.replaceAll(',', ';'), rows: BOTH },
  { what: 'tabs', content: TEXT.replaceAll(',', '\t'), rows: BOTH },
  { what: 'pipes', content: TEXT.replaceAll(',', '|'), rows: BOTH },
  {
    what: 'semicolons, and commas in the cells',
    content: `name;email;phone;company\n"Doe, Jane";jane@example.com;1,5;Acme, Inc.\n`,
    rows: ['2|Doe, Jane|jane@example.com|1,5|Acme, Inc.'],
  },
  {
    what: 'single quotes around everything',
    content: `'name','email','phone','company'\n'O''Hara','o@example.com','','A, "B"'\n`,
    rows: [`2|O'Hara|o@example.com||A, "B"`],
  },
  {
    what: 'single quotes in cells, which are letters where the header has none',
    content: `${HEAD}\n'Ann,ann@example.com,1,Bo's\n`,
    rows: [`2|'Ann|ann@example.com|1|Bo's`],
  },
  { what: 'quotes around everything', content: TEXT.replaceAll(/[^,\n]+/g, '"$&"'), rows: BOTH },
  {
    what: 'doubled quotes, and nothing but quotes',
    content: `${HEAD}\n"say ""hi""",a@example.com,"""","C"""""\n`,
    rows: ['2|say "hi"|a@example.com|"|C""'],
  },
  {
    what: 'quotes inside unquoted cells',
    content: `${HEAD}\n5" pipe,a@example.com,6" x 4",Acme "Best"\n`,
    rows: ['2|5" pipe|a@example.com|6" x 4"|Acme "Best"'],
  },
  {
    what: 'text behind a closing quote, and a comma in those quotes',
    content: `${HEAD}\n"Ann" Lee,a@example.com,,"A, B" Inc\n"x,y" z,b@example.com,,C\n`,
    rows: ['2|"Ann" Lee|a@example.com||"A, B" Inc', '3|"x,y" z|b@example.com||C'],
  },
  {
    what: 'a space before a quote, which makes it a letter',
    content: `${HEAD}\n"Ann", "ann@example.com",,"Acme"\nBob,bob@example.com,, "B C"\n`,
    rows: ['3|Bob|bob@example.com||"B C"'],
    errors: ['2 email: is not a valid e-mail address'],
  },
  {
    what: 'a quote that is never closed, early',
    content: `${HEAD}\n${ANN}\n"Bob,bob@example.com,,B\n${'x,y,z,w\n'.repeat(50)}`,
    fault: 'Row 3: a quote is opened that is never closed.',
  },
  {
    what: 'a quote that is never closed, in the last row',
    content: `${HEAD}\n${ANN}\n${BOB.replace('Bits', '"Bits')}`,
    fault: 'Row 3: a quote is opened that is never closed.',
  },
]

const LINE_ENDS: DirtyFile[] = [
  { what: 'CRLF', content: TEXT.replaceAll('\n', '\r\n'), rows: BOTH },
  { what: 'CR', content: TEXT.replaceAll('\n', '\r'), rows: BOTH },
  { what: 'all three line ends', content: `${HEAD}\r\n${ANN}\r${BOB}\n`, rows: BOTH },
  { what: 'no line end at the end', content: TEXT.trimEnd(), rows: BOTH },
  { what: 'a CR at the very end', content: `${TEXT.trimEnd()}\r`, rows: BOTH },
  {
    what: 'line ends in cells, and row numbers behind them',
    content: `${HEAD}\n"A\nn\r\nn",ann@example.com,"\r","Ac\n\nme"\nBob,bob,2,Bits\n`,
    rows: ['2|A\nn\r\nn|ann@example.com||Ac\n\nme'],
    errors: ['3 email: is not a valid e-mail address'],
  },
  {
    what: 'blank rows everywhere, which count and are no data',
    content: `\n  \r\n${HEAD}\n\n${ANN}\n \t \n\r\n${BOB.replace('@', ' ')}\n\n\n`,
    rows: ['5|Ann|ann@example.com|1|Acme'],
    errors: ['8 email: is not a valid e-mail address'],
  },
  {
    what: 'blank rows behind a quoted line end',
    content: `${HEAD}\n"A\n\nnn",ann@example.com,1,Acme\n\n${BOB}\n`,
    rows: ['2|A\n\nnn|ann@example.com|1|Acme', '4|Bob|bob@example.com|2|Bits'],
  },
]

const SHAPES: DirtyFile[] = [
  {
    what: 'too few and too many cells',
    content: `${HEAD}\nAnn,ann@example.com\nBob,bob@example.com,2,Bits,more\nCid\n`,
    errors: [
      '2 row: has 2 cells, and the header has 4; company: is required',
      '3 row: has 5 cells, and the header has 4',
      '4 row: has 1 cell, and the header has 4; email: is required; company: is required',
    ],
  },
  {
    what: 'a comma that nobody quoted',
    content: `${HEAD}\nDoe, Jane,jane@example.com,1,Acme\n`,
    errors: ['2 row: has 5 cells, and the header has 4; email: is not a valid e-mail address'],
  },
  { what: 'commas at the end of every row', content: TEXT.replaceAll('\n', ',,,\n'), rows: BOTH },
  { what: 'commas at the end of the data alone', content: `${HEAD}\n${ANN},,,\n${BOB}, ,\t\n`, rows: BOTH },
  {
    what: 'optional cells left out at the end',
    content: `name,email,company,phone\nAnn,ann@example.com,Acme\n`,
    rows: ['2|Ann|ann@example.com||Acme'],
  },
  {
    what: 'spaces around header and cells',
    content: ` name , email\t,phone , company \n  Ann  , ann@example.com ,\t1, Ac  me \n`,
    rows: ['2|Ann|ann@example.com|1|Ac  me'],
  },
  {
    what: 'Unicode spaces: trimmed at the ends, kept inside, and no blank row',
    content: `${HEAD}\n\u00a0Ann\u3000Lee\u2003,\u00a0ann@example.com\u200a,\u00a0,\ufeffAcme\n\u00a0\n`,
    rows: ['2|Ann\u3000Lee|ann@example.com||Acme'],
    errors: [
      '3 row: has 1 cell, and the header has 4; name: is required; email: is required; company: is required',
    ],
  },
  {
    what: 'a header in other case and order, among other columns',
    content: `id,COMPANY,e,Email,PHONE,nAmE\n7,Acme,x,ann@example.com,1,Ann\n`,
    rows: [ANN_IN_2],
  },
  {
    what: 'a column twice',
    content: `name,email,phone,company,Email\n${ANN},x\n`,
    fault: 'The header has the column "Email" twice.',
  },
  {
    what: 'the header again in the middle',
    content: `${HEAD}\n${ANN}\n${HEAD}\n${BOB}\n`,
    rows: [ANN_IN_2, '4|Bob|bob@example.com|2|Bits'],
    errors: ['3 email: is not a valid e-mail address'],
  },
  {
    what: 'a missing column',
    content: `name,phone,company\nAnn,1,Acme\n`,
    fault: 'The column email is missing.',
  },
  {
    what: 'no header',
    content: `${ANN}\n${BOB}\n`,
    fault: 'The first row is not a header: it has none of the columns name, email, phone, company.',
  },
  { what: 'a header and no more', content: HEAD },
  { what: 'nothing', content: '', fault: 'The file is empty.' },
  { what: 'nothing but spaces', content: '   ', fault: 'The file is empty.' },
  { what: 'a single CR', content: '\r', fault: 'The file is empty.' },
  {
    what: 'a NUL in the name of a column, which PostgreSQL cannot store',
    content: `${HEAD},no\0te\n${ANN},x\nBob,bob,,,y\n`,
    rows: [ANN_IN_2],
    errors: ['3 email: is not a valid e-mail address; company: is required'],
  },
  {
    what: 'blank and odd names of columns',
    content: `name,,email,constructor,__proto__,company,\nAnn,1,ann@example.com,2,3,Acme,4\n,1,b@example.com,,,,\n`,
    rows: ['2|Ann|ann@example.com||Acme'],
    errors: ['3 name: is required; company: is required'],
  },
  {
    what: 'a row of 10,000 columns, and one of as many blank ones',
    content: `${HEAD}\n${ANN}${',x'.repeat(9_996)}\n${BOB}${','.repeat(9_996)}\n`,
    rows: [BOB_IN_3],
    errors: ['2 row: has 10000 cells, and the header has 4'],
  },
  {
    what: 'rows of exactly 1 MiB and of a byte more',
    content: [HEAD, rowOf(MiB, 'fits@example.com'), rowOf(MiB + 1, 'more@example.com'), BOB, ''].join('\n'),
    rows: [`2|L|fits@example.com||${'c'.repeat(MiB - 20)}`, '4|Bob|bob@example.com|2|Bits'],
    errors: ['3 row: is longer than 1 MiB (it has 1,048,577 bytes); only its first 1 MiB is kept'],
  },
  {
    what: 'such rows that end with CRLF, quotes and delimiters in them',
    content: [
      HEAD,
      `${rowOf(MiB - 2, 'fits@example.com').replace(',,', ',,"')}"`,
      `${rowOf(MiB, 'more@example.com').replace(',,', ',,"\n,""')}"`,
      ANN,
      '',
    ].join('\r\n'),
    rows: [`2|L|fits@example.com||${'c'.repeat(MiB - 22)}`, '4|Ann|ann@example.com|1|Acme'],
    errors: ['3 row: is longer than 1 MiB (it has 1,048,582 bytes); only its first 1 MiB is kept'],
  },
]

const ENCODINGS: DirtyFile[] = [
  { what: 'a byte order mark', content: `\ufeff${TEXT}`, rows: BOTH },
  {
    what: 'a byte order mark before a quoted header',
    content: `\ufeff"name","email","phone","company"\n${ANN}\n`,
    rows: [ANN_IN_2],
  },
  {
    what: 'Windows-1252, as old spreadsheets write it',
    content: latin1(`${HEAD}\nJos\xe9 \x80,jose@example.com,,M\xfcller \x96 S\xf6hne\x92s\n`),
    rows: ['2|José €|jose@example.com||Müller – Söhne’s'],
  },
  {
    what: 'Windows-1252 in the header',
    content: latin1(`name,email,stra\xdfe,company\n${ANN}\nB\xf6,bo,,B\n`),
    rows: ['2|Ann|ann@example.com||Acme'],
    errors: ['3 email: is not a valid e-mail address'],
  },
  {
    what: 'neither UTF-8 nor Windows-1252',
    content: latin1(`${HEAD}\nJos\xe9,jose@example.com,,A\x81\n${BOB}\n`),
    rows: [BOB_IN_3],
    errors: [`2 ${notText(4)}`],
  },
  {
    what: 'UTF-8 with one byte that is not, among text beyond ASCII',
    content: bytes(`${HEAD}\nÄnn,ann@example.com,,Ácme 😀\nBöb,bob@example.com,,B`, [0xe9], `ts\n${ANN}\n`),
    rows: ['2|Änn|ann@example.com||Ácme 😀'],
    errors: [`3 ${notText(24)}`, '4 email: already used in row 2'],
  },
  {
    what: 'a character of UTF-8 that is cut off at the end of the file',
    content: bytes(`${HEAD}\nÄnn,ann@example.com,,Acme\nBob,bob@example.com,,B`, [0xf0, 0x9f, 0x98]),
    rows: ['2|Änn|ann@example.com||Acme'],
    errors: [`3 ${notText(23)}`],
  },
  {
    what: 'overlong forms and surrogates in UTF-8',
    content: bytes(
      `${HEAD}\nÄnn,ann@example.com,,Acme\nÄ,a@example.com,,`,
      [0xc0, 0xaf],
      '\nB,b@example.com,,',
      [0xed, 0xa0, 0x80],
      '\n',
    ),
    rows: ['2|Änn|ann@example.com||Acme'],
    errors: [`3 ${notText(19)}`, `4 ${notText(18)}`],
  },
  { what: 'UTF-16LE with a byte order mark', content: utf16le(`\ufeff${TEXT}`), rows: BOTH },
  { what: 'UTF-16BE with a byte order mark', content: utf16be(`\ufeff${TEXT}`), rows: BOTH },
  { what: 'UTF-16LE without one', content: utf16le(TEXT.replaceAll(',', '\t')), rows: BOTH },
  { what: 'UTF-16BE without one', content: utf16be(TEXT.replaceAll('\n', '\r\n')), rows: BOTH },
  {
    what: 'UTF-16 with text beyond ASCII, emoji too',
    content: utf16le(`\ufeff${HEAD}\nŁucja 😀,l@example.com,,Żółw\nB,b,,日本\n`),
    rows: ['2|Łucja 😀|l@example.com||Żółw'],
    errors: ['3 email: is not a valid e-mail address'],
  },
  {
    what: 'UTF-16 with half a character at the end',
    content: bytes([...utf16le(`\ufeff${TEXT}`)], [0x41]),
    rows: BOTH,
    errors: [`4 ${notText(1)}`],
  },
  {
    what: 'UTF-16 with halves of surrogate pairs',
    content: utf16le(`\ufeff${HEAD}\nA\ud83d,a@example.com,,C\n${BOB}\nC\ude00,c@example.com,,D\ud83d`),
    rows: [BOB_IN_3],
    errors: [`2 ${notText(2)}`, `4 ${notText(2)}`],
  },
]

/** All control characters but NUL, which keep no row from being stored as it is. */
const CONTROLS = String.fromCharCode(...Array.from({ length: 31 }, (_, index) => index + 1), 127)

const CELLS: DirtyFile[] = [
  {
    what: 'NUL characters in cells',
    content: `${HEAD}\nA\0nn,ann@example.com,,Acme\n${BOB}\n"C\0",c@example.com,\0,"\0"\n`,
    rows: [BOB_IN_3],
    errors: [
      '2 name: must not contain a NUL character',
      '4 name: must not contain a NUL character; phone: must not contain a NUL character; company: must not contain a NUL character',
    ],
  },
  {
    what: 'control characters, and what COPY takes for signs of its own',
    content: `${HEAD}\n"A${CONTROLS.replace('"', '')}Z",a@example.com,\\N,\\.\n\\,b@example.com,\\\\N,"\\\n\\."\n${'Filler,,,\n'.repeat(40)}`,
    rows: [`2|A${CONTROLS}Z|a@example.com|\\N|\\.`, '3|\\|b@example.com|\\\\N|\\\n\\.'],
    errors: Array.from({ length: 40 }, (_, n) => `${n + 4} email: is required; company: is required`),
  },
  {
    what: 'an e-mail that is too long, in each of its parts',
    content: [
      HEAD,
      `A,${'a'.repeat(64)}@${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(57)}.de,,C`,
      `A,${'a'.repeat(64)}@${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(60)}.de,,C`,
      `A,${'a'.repeat(65)}@example.com,,C`,
      `A,a@${'b'.repeat(64)}.com,,C`,
      `A,${'x'.repeat(100_000)},,C`,
    ].join('\n'),
    rows: [`2|A|${'a'.repeat(64)}@${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(57)}.de||C`],
    errors: [
      '3 email: must not have more than 254 characters',
      '4 email: is not a valid e-mail address',
      '5 email: is not a valid e-mail address',
      '6 email: must not have more than 254 characters',
    ],
  },
  {
    what: 'one e-mail in different case, and what only looks like it',
    content: `${HEAD}\n${ANN}\nA,ANN@Example.COM,,C\nA,ann@examp1e.com,,C\nA,"\tann@EXAMPLE.com ",,C\n,Ann@example.com,,C\n`,
    rows: [ANN_IN_2, '4|A|ann@examp1e.com||C'],
    errors: [
      '3 email: already used in row 2',
      '5 email: already used in row 2',
      '6 name: is required; email: already used in row 2',
    ],
  },
  {
    // JavaScript, PostgreSQL and Unicode tell upper and lower case of these apart in different ways.
    what: 'e-mails whose case languages disagree on',
    content: `${HEAD}\nA,i\u0307x@example.com,,C\nB,\u0130x@example.com,,C\nC,ix@example.com,,C\nD,IX@example.com,,C\n`,
    rows: ['2|A|i\u0307x@example.com||C', '3|B|\u0130x@example.com||C'],
    errors: ['4 email: already used in row 3', '5 email: already used in row 3'],
  },
  {
    what: 'cells that a spreadsheet would run',
    content: `${HEAD}\n=1+1,a@example.com,+49 30,@SUM(A1)\n-2,b@example.com,-1,"=HYPERLINK(""http://x"")"\n`,
    rows: ['2|=1+1|a@example.com|+49 30|@SUM(A1)', '3|-2|b@example.com|-1|=HYPERLINK("http://x")'],
  },
  {
    what: 'emoji, combining marks and right-to-left text',
    content: `${HEAD}\n👩‍👩‍👧 Z\u0301,e@example.com,٠١,שלום\n`,
    rows: ['2|👩‍👩‍👧 Z\u0301|e@example.com|٠١|שלום'],
  },
]

const NO_TEXT: DirtyFile[] = [
  {
    what: 'a picture',
    content: Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'),
    fault: 'The file is not a CSV: it is a PNG image. Save it as CSV and upload it again.',
  },
  {
    what: 'a workbook',
    content: Buffer.concat([Buffer.from('504b0304140006000800', 'hex'), Buffer.alloc(200, 7)]),
    fault:
      'The file is not a CSV: it is an Excel workbook or another ZIP archive. Save it as CSV and upload it again.',
  },
  {
    what: 'bytes of every value',
    content: Buffer.from(Array.from({ length: 4_096 }, (_, index) => (index * 167) % 256)),
    fault: 'The file is not a CSV: it is binary data. Save it as CSV and upload it again.',
  },
  {
    what: 'UTF-16 with spaces of zeros',
    content: Buffer.concat([utf16le(TEXT), Buffer.alloc(1_000)]),
    rows: BOTH,
    errors: [
      '4 row: has 1 cell, and the header has 4; name: must not contain a NUL character; email: is required; company: is required',
    ],
  },
]

export const DIRTY_FILES: DirtyFile[] = [
  ...DELIMITERS_AND_QUOTES,
  ...LINE_ENDS,
  ...SHAPES,
  ...ENCODINGS,
  ...CELLS,
  ...NO_TEXT,
]
