import Button from '@mui/material/Button'
import { type ReactNode, useState } from 'react'
import { tellShortly } from '../api/problem.ts'
import { useSession } from '../api/session.ts'
import { DownloadIcon } from './icons.tsx'
import { useNotices } from './notices.tsx'

interface DownloadButtonProps {
  /** Below the service's address, such as `/api/jobs/…/errors.csv`. */
  path: string
  filename: string
  icon?: ReactNode
  /** What the name of the button leaves open. */
  title?: string
  children: ReactNode
}

/** A link that the browser follows itself, in any size; with a token, which a link cannot send, a request. */
export function DownloadButton(props: DownloadButtonProps) {
  const { path, filename, icon = <DownloadIcon />, title, children } = props
  const { api } = useSession()
  const { show } = useNotices()
  const [isLoading, setIsLoading] = useState(false)
  if (api.token === undefined) {
    return (
      <Button
        size="small"
        variant="outlined"
        title={title}
        startIcon={icon}
        href={api.url + path}
        download={filename}
      >
        {children}
      </Button>
    )
  }
  async function download() {
    setIsLoading(true)
    try {
      saveFile(await api.download(path), filename)
    } catch (error) {
      show(`${filename} could not be downloaded. ${tellShortly(error)}`, 'error')
    } finally {
      setIsLoading(false)
    }
  }
  return (
    <Button
      size="small"
      variant="outlined"
      title={title}
      startIcon={icon}
      loading={isLoading}
      onClick={download}
    >
      {children}
    </Button>
  )
}

/** Hands a file that the page has made or read to the browser's downloads. */
export function saveFile(content: Blob, filename: string): void {
  const url = URL.createObjectURL(content)
  const link = document.createElement('a')
  link.href = url
  link.download = filename
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
