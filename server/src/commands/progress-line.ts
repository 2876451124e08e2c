import { styleText } from 'node:util'
import type { JobProgress, LiveRecord } from '@pebbles/client'
import { printable } from './live-lines.ts'

const BAR_WIDTH = 24

/** What a line tells of a record or a job. Colours only on a terminal, and not with NO_COLOR: styleText sees to it. */
export interface Progress {
  name: string
  done: number
  warn?: number
  failed: number
  /** Rows expected, `null` while unknown. */
  total: number | null
  /** `running`, or how it ended. */
  state: 'running' | 'completed' | 'failed' | 'cancelled'
}

export function formatProgress({ name, done, warn, failed, total, state }: Progress): string {
  const value = done + failed + (warn ?? 0)
  const counts = [
    styleText('green', `${number(done)} done`),
    ...(warn === undefined ? [] : [styleText(warn > 0 ? 'yellow' : 'dim', `${number(warn)} warn`)]),
    styleText(failed > 0 ? 'red' : 'dim', `${number(failed)} failed`),
  ]
  const colour = state === 'failed' || state === 'cancelled' ? 'red' : 'cyan'
  const parts = [formatBar(value, total, { colour }), printable(name), counts.join(' · ')]
  if (state !== 'running') parts.push(styleText(state === 'completed' ? 'green' : 'red', state))
  return parts.join('  ')
}

/** A bar with percent and numbers; the number alone while the total is unknown. */
export function formatBar(
  value: number,
  total: number | null,
  { unit = 'rows', colour = 'cyan' }: { unit?: 'rows' | 'bytes'; colour?: 'cyan' | 'red' } = {},
): string {
  const isLarge = (total ?? value) >= MiB
  const show = unit === 'rows' ? number : isLarge ? mebibytes : kibibytes
  const name = unit === 'rows' ? unit : isLarge ? 'MiB' : 'KiB'
  if (total === null) return `${'·'.repeat(BAR_WIDTH)}     –  ${show(value)} ${name}`
  // More than expected is possible: whoever reports may have been wrong about the total.
  const share = total === 0 ? 1 : Math.min(1, value / total)
  const filled = Math.round(share * BAR_WIDTH)
  const bar = '█'.repeat(filled) + styleText('dim', '░'.repeat(BAR_WIDTH - filled))
  // 100 % is said only when it is true.
  const percent = share === 1 ? 100 : Math.floor(share * 100)
  return `${styleText(colour, bar)} ${`${percent} %`.padStart(5)}  ${show(value)} of ${show(total)} ${name}`
}

export function progressOfRecord({ filename, counts, total, isCompleted }: LiveRecord): Progress {
  return { name: filename, ...counts, total, state: isCompleted ? 'completed' : 'running' }
}

export function progressOfJob(name: string, job: JobProgress): Progress {
  const { successCount: done, failedCount: failed, totalRows: total, status } = job
  const state = status === 'pending' || status === 'processing' ? 'running' : status
  return { name, done, failed, total, state }
}

export const number = (value: number) => value.toLocaleString('en-US')
const MiB = 1024 * 1024
const mebibytes = (bytes: number) => (bytes / MiB).toFixed(1)
const kibibytes = (bytes: number) => (bytes / 1024).toFixed(1)
