/** Files of a drop. Folders look like files, and cannot be read as one. */
export function filesOf(transfer: DataTransfer): { files: File[]; folders: number } {
  const files: File[] = []
  let folders = 0
  for (const item of transfer.items) {
    if (item.kind !== 'file') continue
    if (item.webkitGetAsEntry()?.isDirectory) folders++
    else {
      const file = item.getAsFile()
      if (file) files.push(file)
    }
  }
  return { files, folders }
}
