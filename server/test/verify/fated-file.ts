import { Buffer } from 'node:buffer'

/** A file, and what has to become of each of its rows. */
export interface FatedFile {
  prefix: string
  content: Buffer
  /** Rows of data. */
  total: number
  /** By row number: the message with which the row is refused. */
  refused: Map<number, string>
  /** By row number: the e-mail with which it is stored. */
  stored: Map<number, string>
  /** By row number: how many rows up to it are stored, and refused. */
  storedUpTo: Int32Array
  refusedUpTo: Int32Array
}

const BAD: [(n: string) => string, string][] = [
  [(email) => `,${email},,Acme`, 'name: is required'],
  [() => 'Bad,not an address,,Acme', 'email: is not a valid e-mail address'],
  [(email) => `"Bad ""one""",${email},,"  "`, 'company: is required'],
  [(email) => `Bad,${email},,Acme,Inc`, 'row: has 5 cells, and the header has 4'],
  [(email) => `"Ba\0d",${email},,Acme`, 'name: must not contain a NUL character'],
]

/** Quoted cells, line ends inside them, blank rows, 2 % that are not valid, 1 % that were there before. */
export function makeFatedFile(
  prefix: string,
  { rows, random }: { rows: number; random: () => number },
): FatedFile {
  const refused = new Map<number, string>()
  const stored = new Map<number, string>()
  const lines = ['name,email,phone,company\n']
  const pick = (count: number) => Math.floor(random() * count)
  let rowNumber = 1
  const addresses: { email: string; rowNumber: number }[] = []
  for (let n = 0; n < rows; n++) {
    rowNumber++
    if (random() < 0.005) {
      lines.push(random() < 0.5 ? '\n' : ' \r\n')
      rowNumber++
    }
    const email = `${prefix}-${n}@example.com`
    const fate = random()
    if (fate < 0.02) {
      const [line, message] = BAD[pick(BAD.length)]!
      refused.set(rowNumber, message)
      lines.push(`${line(email)}\n`)
    } else if (fate < 0.03 && addresses.length > 0) {
      const first = addresses[pick(addresses.length)]!
      refused.set(rowNumber, `email: already used in row ${first.rowNumber}`)
      lines.push(`Twin,${random() < 0.5 ? first.email : first.email.toUpperCase()},,Acme\r\n`)
    } else {
      stored.set(rowNumber, email)
      addresses.push({ email, rowNumber })
      const name = random() < 0.2 ? `"Käthe\n""${n}"", Ltd"` : `Person ${n}`
      lines.push(`${name},${email},+49 30 ${n},"Company\r\n${n}, Inc"${random() < 0.5 ? '\n' : '\r\n'}`)
    }
  }
  const storedUpTo = new Int32Array(rowNumber + 1)
  const refusedUpTo = new Int32Array(rowNumber + 1)
  for (let at = 1; at <= rowNumber; at++) {
    storedUpTo[at] = storedUpTo[at - 1]! + Number(stored.has(at))
    refusedUpTo[at] = refusedUpTo[at - 1]! + Number(refused.has(at))
  }
  const content = Buffer.from(lines.join(''))
  return { prefix, content, total: rows, refused, stored, storedUpTo, refusedUpTo }
}
