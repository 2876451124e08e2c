import { useEffect, useRef, useState } from 'react'
import { filesOf } from './dropped.ts'

/** Takes files that are dropped anywhere on the page. @returns whether some are held over it */
export function useDroppedFiles(onFiles: (files: File[], folders: number) => void): boolean {
  const [isOver, setIsOver] = useState(false)
  const handler = useRef(onFiles)
  handler.current = onFiles
  useEffect(() => {
    // Entering a child comes before leaving its parent, so both are counted.
    let depth = 0
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false
    function enter(event: DragEvent): void {
      if (!hasFiles(event)) return
      event.preventDefault()
      depth++
      setIsOver(true)
    }
    function over(event: DragEvent): void {
      if (hasFiles(event)) event.preventDefault()
    }
    function leave(event: DragEvent): void {
      if (!hasFiles(event)) return
      depth = Math.max(0, depth - 1)
      if (depth === 0) setIsOver(false)
    }
    function drop(event: DragEvent): void {
      if (!hasFiles(event) || !event.dataTransfer) return
      event.preventDefault()
      depth = 0
      setIsOver(false)
      const { files, folders } = filesOf(event.dataTransfer)
      handler.current(files, folders)
    }
    const listeners = { dragenter: enter, dragover: over, dragleave: leave, drop } as const
    for (const [name, listener] of Object.entries(listeners))
      document.addEventListener(name as 'drop', listener)
    return () => {
      for (const [name, listener] of Object.entries(listeners))
        document.removeEventListener(name as 'drop', listener)
    }
  }, [])
  return isOver
}
