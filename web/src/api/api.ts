import { PebblesApiError, PebblesConnectionError } from '@pebbles/client'
import { nextCursor, parseProblem } from './answers.ts'
import type { Dataset, Job, JobList, JobStats, JobWithErrors, TopPostcode, WindowCount } from './types.ts'

/** The requests that the page makes. All throw {@link PebblesApiError} or {@link PebblesConnectionError}. */
export interface Api {
  /** Where the service is; the page lies at its root, also below a path of a proxy. */
  url: string
  token: string | undefined
  listJobs(page: { limit: number; after?: string | undefined }, signal?: AbortSignal): Promise<JobList>
  readJob(id: string, signal?: AbortSignal): Promise<JobWithErrors>
  readStats(signal?: AbortSignal): Promise<JobStats>
  readDatasets(signal?: AbortSignal): Promise<Dataset[]>
  /** Closed minutes that have page views; with a postcode its own. */
  readPageviews(asked: PageviewRange & { postcode?: string }, signal?: AbortSignal): Promise<WindowCount[]>
  /** The postcodes with the most, the first of all first. */
  readTopPostcodes(asked: PageviewRange & { limit: number }, signal?: AbortSignal): Promise<TopPostcode[]>
  cancelJob(id: string): Promise<Job>
  retryJob(id: string): Promise<Job>
  deleteJob(id: string, withRows: boolean): Promise<void>
  /** The content of a download, for callers with a token: a link cannot send one. */
  download(path: string): Promise<Blob>
}

export interface PageviewRange {
  fromMs: number
  toMs: number
}

export function createApi(url: string, token: string | undefined): Api {
  async function send(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(token === undefined ? {} : { authorization: `Bearer ${token}` })
    let response: Response
    try {
      response = await fetch(url + path, { ...init, headers })
    } catch (cause) {
      throw new PebblesConnectionError('no answer', { cause })
    }
    if (response.ok) return response
    throw new PebblesApiError(response.status, {
      problem: parseProblem(await response.text().catch(() => '')),
    })
  }

  async function readJson<T>(path: string, signal?: AbortSignal): Promise<T> {
    return (await send(path, { signal: signal ?? null })).json()
  }

  const jobPath = (id: string) => `/api/jobs/${encodeURIComponent(id)}`
  const act = async (id: string, action: string): Promise<Job> =>
    (await send(`${jobPath(id)}/${action}`, { method: 'POST' })).json()

  return {
    url,
    token,
    async listJobs({ limit, after }, signal) {
      const query = new URLSearchParams({ limit: String(limit), ...(after !== undefined && { after }) })
      const response = await send(`/api/jobs?${query}`, { signal: signal ?? null })
      return { jobs: await response.json(), next: nextCursor(response.headers.get('link')) }
    },
    readJob: (id, signal) => readJson(jobPath(id), signal),
    readStats: (signal) => readJson('/api/jobs/stats', signal),
    readDatasets: (signal) => readJson('/api/datasets', signal),
    readPageviews: ({ postcode, ...range }, signal) =>
      postcode === undefined
        ? readJson(`/api/pageviews/totals?${rangeQuery(range)}`, signal)
        : readJson(`/api/pageviews/aggregates?${rangeQuery(range, { postcode })}`, signal),
    readTopPostcodes: ({ limit, ...range }, signal) =>
      readJson(`/api/pageviews/top?${rangeQuery(range, { limit: String(limit) })}`, signal),
    cancelJob: (id) => act(id, 'cancel'),
    retryJob: (id) => act(id, 'retry'),
    async deleteJob(id, withRows) {
      await send(`${jobPath(id)}${withRows ? '?rows=true' : ''}`, { method: 'DELETE' })
    },
    download: async (path) => (await send(path)).blob(),
  }
}

const rangeQuery = ({ fromMs, toMs }: PageviewRange, more: Record<string, string> = {}) =>
  new URLSearchParams({ from: String(fromMs / 1000), to: String(toMs / 1000), ...more })
