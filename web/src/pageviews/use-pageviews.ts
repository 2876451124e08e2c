import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useSession } from '../api/session.ts'
import { MINUTE_MS, type Minutes, SHOWN, shownRange, toMinutes } from './minutes.ts'

/**
 * Windows close once a minute, so asking shows them soon enough. A second live view for each tab would take one more of
 * the about six connections that a browser opens to a host.
 */
export const ASK_EVERY_MS = 10_000
const TOP = 5

/** Page views of the last hour, and the postcodes with the most, which are asked for only when something has changed. */
export function usePageviews() {
  const { api } = useSession()
  const minutes = useQuery({
    queryKey: ['pageviews'],
    queryFn: async ({ signal }) => {
      const { fromMs, toMs } = shownRange(Date.now())
      return toMinutes(await api.readPageviews({ fromMs, toMs }, signal), fromMs)
    },
    refetchInterval: ASK_EVERY_MS,
    refetchOnWindowFocus: 'always',
  })
  const { startMs = 0, total = 0 } = minutes.data ?? {}
  const top = useQuery({
    queryKey: ['pageviews', 'top', startMs, total],
    queryFn: ({ signal }) => api.readTopPostcodes({ ...rangeOf(startMs), limit: TOP }, signal),
    enabled: total > 0,
    placeholderData: keepPreviousData,
  })
  return { minutes, top: total > 0 ? top.data : undefined }
}

/** Those of one postcode; what was shown of it before stays until the answer is there. */
export function usePostcode(postcode: string | undefined, { startMs, total }: Minutes): Minutes | undefined {
  const { api } = useSession()
  const { data } = useQuery({
    queryKey: ['pageviews', 'postcode', postcode, startMs, total],
    queryFn: async ({ signal }) =>
      toMinutes(await api.readPageviews({ ...rangeOf(startMs), postcode: postcode! }, signal), startMs),
    enabled: postcode !== undefined,
    placeholderData: (before, query) => (query?.queryKey[2] === postcode ? before : undefined),
  })
  return postcode === undefined ? undefined : data
}

const rangeOf = (fromMs: number) => ({ fromMs, toMs: fromMs + SHOWN * MINUTE_MS })
