import { once } from 'node:events'
import { createWriteStream } from 'node:fs'

export const HEADER = 'name,email,phone,company\n'

const FIRST = 'Anna Bob Carla Denis Eve Frank Gina Hugo Ida Jan Kim Lea Max Nora Otto Pia'.split(' ')
const LAST = 'Abel Baker Costa Dietz Evans Fischer Garcia Huber Ito Jensen Keller Lopez Moser'.split(' ')
const DOMAINS = 'example.com example.org mail.example.net corp.example.io'.split(' ')

export interface FileCounts {
  valid: number
  invalid: number
  duplicate: number
}

/**
 * Writes a file of customers as companies have them: quoted cells with commas and quotes in them, some with letters
 * beyond ASCII; of 100 rows two are invalid and one is a duplicate of an earlier row. Addresses come in no order. The
 * same number of rows gives the same file.
 */
export async function writeCustomers(path: string, rows: number): Promise<FileCounts> {
  const counts: FileCounts = { valid: 0, invalid: 0, duplicate: 0 }
  const file = createWriteStream(path)
  let text = HEADER
  for (let n = 0; n < rows; n++) {
    const kind = n % 100
    const isDuplicate = kind === 77
    const isInvalid = kind === 33 || kind === 66
    text += rowOf(isDuplicate ? n - 7 : n, isInvalid ? (kind === 33 ? 'no-email' : 'no-company') : undefined)
    if (isDuplicate) counts.duplicate++
    else if (isInvalid) counts.invalid++
    else counts.valid++
    if (text.length > 1 << 20) {
      if (!file.write(text)) await once(file, 'drain')
      text = ''
    }
  }
  file.end(text)
  await once(file, 'close')
  return counts
}

function rowOf(n: number, fault: 'no-email' | 'no-company' | undefined): string {
  const first = FIRST[n % FIRST.length]!
  const last = LAST[(n * 7) % LAST.length]!
  // Scattered over the index, as addresses are.
  const scattered = (Math.imul(n, 2_654_435_761) >>> 0).toString(36)
  const email = fault === 'no-email' ? `${first} at home` : `${last}.${scattered}@${DOMAINS[n % 4]}`
  const company = fault === 'no-company' ? '' : companyOf(n, first, last)
  const name = n % 3 === 0 ? `"${last}, ${first}"` : `${first} ${last}`
  return `${name},${email},+1 202 555 ${String(n % 10_000).padStart(4, '0')},"${company.replaceAll('"', '""')}"\n`
}

function companyOf(n: number, first: string, last: string): string {
  if (n % 50 === 7) return `Café Nº ${n % 977}`
  return n % 4 === 0 ? `${last} "${first}" & Co, Ltd ${n % 977}` : `${last} & ${first}, Ltd ${n % 977}`
}
