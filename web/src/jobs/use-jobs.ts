import type { JobsEvent } from '@pebbles/client'
import { type QueryClient, useQuery, useQueryClient } from '@tanstack/react-query'
import { useCallback, useEffect, useRef, useState } from 'react'
import { isUnauthorized } from '../api/problem.ts'
import { useSession } from '../api/session.ts'
import { isActive, type Job, type JobList, type JobStats } from '../api/types.ts'
import { followJobs } from '../live/follow-jobs.ts'
import { type LiveStatus, pollInterval } from '../live/live-status.ts'
import { appendPage, applyDeleted, applyJob, applySnapshot, endedSince, mergeRead } from './job-list.ts'

/** As many as a snapshot of the live view has, so that neither cuts off what the other has brought. */
const PAGE = 100
const JOBS = ['jobs']
const STATS = ['stats']

export interface JobsView {
  list: JobList | undefined
  stats: JobStats | undefined
  live: LiveStatus
  error: Error | null
  isReading: boolean
  reload(): void
  loadMore(): Promise<void>
  /** A state that an action of this page was answered with. */
  put(job: Job): void
  remove(jobId: string): void
}

/** Jobs and counts in the query cache, where pages that are read and events that are pushed come together. */
export function useJobs(onEnded: (jobs: Job[]) => void): JobsView {
  const { api, refuse } = useSession()
  const client = useQueryClient()
  const deleted = useRef(new Set<string>()).current
  const [live, setLive] = useState<LiveStatus>('connecting')
  const stats = useQuery({
    queryKey: STATS,
    queryFn: ({ signal }) => api.readStats(signal),
    refetchInterval: ({ state }) => pollInterval(live, isAnythingActive(client, state.data)),
    refetchOnWindowFocus: live !== 'live',
  })
  const jobs = useQuery({
    queryKey: JOBS,
    queryFn: ({ signal }) => readJobs(signal),
    refetchInterval: () => pollInterval(live, isAnythingActive(client, client.getQueryData(STATS))),
    refetchOnWindowFocus: live !== 'live',
  })

  async function readJobs(signal: AbortSignal): Promise<JobList> {
    const before = client.getQueryData<JobList>(JOBS)
    let read = await api.listJobs({ limit: PAGE }, signal)
    while (read.next !== null && read.jobs.length < (before?.jobs.length ?? 0))
      read = appendPage(read, await api.listJobs({ limit: PAGE, after: read.next }, signal), deleted)
    return mergeRead(read, before, client.getQueryData<JobList>(JOBS), deleted)
  }

  const change = useCallback(
    (update: (list: JobList) => JobList) =>
      client.setQueryData<JobList>(JOBS, (list) => (list ? update(list) : list)),
    [client],
  )
  const put = useCallback(
    (job: Job) => void change((list) => applyJob(list, job, deleted)),
    [change, deleted],
  )
  const remove = useCallback(
    (jobId: string) => {
      deleted.add(jobId)
      change((list) => applyDeleted(list, jobId))
    },
    [change, deleted],
  )

  useEffect(() => {
    const abort = new AbortController()
    function take({ event, data }: JobsEvent): void {
      if (event === 'job') put(data)
      else if (event === 'deleted') remove(data.jobId)
      else if (event === 'stats') client.setQueryData(STATS, data)
      else {
        const list = client.setQueryData<JobList>(JOBS, (known) => applySnapshot(known, data, deleted))
        // Pages behind the snapshot may have changed unheard.
        if (list && list.jobs.length > data.jobs.length) void client.invalidateQueries({ queryKey: JOBS })
      }
    }
    void followJobs({
      ...{ url: api.url, token: api.token, signal: abort.signal },
      onEvent: take,
      onState: ({ status }) => setLive(status),
      onUnauthorized: refuse,
    })
    return () => abort.abort()
  }, [api, client, deleted, put, refuse, remove])

  useEndedJobs(jobs.data, onEnded)
  const error = jobs.error ?? stats.error
  useEffect(() => {
    if (isUnauthorized(error)) refuse()
  }, [error, refuse])

  return {
    list: jobs.data,
    stats: stats.data,
    live,
    error,
    isReading: jobs.isFetching,
    put,
    remove,
    reload: () => void Promise.all([jobs.refetch(), stats.refetch()]),
    async loadMore() {
      const list = client.getQueryData<JobList>(JOBS)
      if (!list || list.next === null) return
      const page = await api.listJobs({ limit: PAGE, after: list.next })
      change((now) => appendPage(now, page, deleted))
    },
  }
}

/** Something is under way, in what is shown or beyond it. */
function isAnythingActive(client: QueryClient, stats: JobStats | undefined): boolean {
  if (client.getQueryData<JobList>(JOBS)?.jobs.some(isActive)) return true
  return stats !== undefined && stats.pending + stats.processing > 0
}

function useEndedJobs(list: JobList | undefined, onEnded: (jobs: Job[]) => void): void {
  const before = useRef(list)
  useEffect(() => {
    const ended = endedSince(before.current, list)
    before.current = list
    if (ended.length > 0) onEnded(ended)
  }, [list, onEnded])
}
