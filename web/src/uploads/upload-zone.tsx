import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Collapse from '@mui/material/Collapse'
import Paper from '@mui/material/Paper'
import TextField from '@mui/material/TextField'
import Typography from '@mui/material/Typography'
import { type RefObject, useRef, useState } from 'react'
import type { Dataset } from '../api/types.ts'
import { HelpIcon, UploadIcon } from '../shell/icons.tsx'
import { FileHelp } from './file-help.tsx'

interface UploadZoneProps {
  datasets: readonly Dataset[]
  dataset: Dataset
  onDataset: (name: string) => void
  onFiles: (files: File[]) => void
  /** Files are held over the page. */
  isOver: boolean
  /** There is nothing yet: what a file must look like is shown at once. */
  isFirst: boolean
  chooseRef: RefObject<HTMLButtonElement | null>
}

/** Takes files by a picker; those that are dropped anywhere on the page land here as well. */
export function UploadZone({
  datasets,
  dataset,
  onDataset,
  onFiles,
  isOver,
  isFirst,
  chooseRef,
}: UploadZoneProps) {
  const input = useRef<HTMLInputElement>(null)
  const [isHelpAsked, setIsHelpAsked] = useState(false)
  const isHelpOpen = isFirst || isHelpAsked
  return (
    <Paper
      component="section"
      aria-labelledby="upload-heading"
      variant="outlined"
      sx={{
        borderStyle: 'dashed',
        borderWidth: 1.5,
        borderColor: isOver ? 'primary.main' : 'edge',
        outline: isOver ? '3px solid' : 'none',
        outlineColor: 'primary.main',
        transition: 'border-color 0.15s',
        px: { xs: 2, sm: 3 },
        py: isFirst ? { xs: 4, sm: 6 } : 2.5,
        textAlign: isFirst ? 'center' : 'left',
      }}
    >
      <Box
        sx={{
          display: 'flex',
          flexWrap: 'wrap',
          gap: 2,
          alignItems: 'center',
          justifyContent: isFirst ? 'center' : 'flex-start',
        }}
      >
        <UploadIcon
          sx={{
            color: 'primary.main',
            fontSize: isFirst ? 44 : 32,
            display: isFirst ? 'block' : { xs: 'none', sm: 'block' },
          }}
        />
        <Box sx={{ flex: isFirst ? '0 0 100%' : '1 1 220px', minWidth: 0 }}>
          <Typography id="upload-heading" variant="h2">
            {isOver ? 'Let go to upload' : 'Drop files here'}
          </Typography>
          <Typography variant="body2" color="textSecondary">
            or choose them; several at once are fine.
          </Typography>
        </Box>
        {!isFirst && (
          <Button
            size="small"
            startIcon={<HelpIcon />}
            aria-expanded={isHelpOpen}
            onClick={() => setIsHelpAsked(!isHelpAsked)}
            sx={{ ml: { xs: -0.75, sm: 0 } }}
          >
            What must a file look like?
          </Button>
        )}
        <TextField
          select
          size="small"
          label="Import as"
          value={dataset.name}
          slotProps={{ select: { native: true } }}
          onChange={({ target }) => onDataset(target.value)}
          sx={{ minWidth: 160, textAlign: 'left', flex: { xs: '1 1 120px', sm: '0 0 auto' } }}
        >
          {datasets.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </TextField>
        <Button
          ref={chooseRef}
          variant="contained"
          onClick={() => input.current?.click()}
          sx={{ flex: { xs: '1 0 auto', sm: 'none' } }}
        >
          Choose files
        </Button>
        <input
          ref={input}
          type="file"
          multiple
          hidden
          data-upload
          accept=".csv,.tsv,.txt,text/csv"
          onChange={({ target }) => {
            onFiles([...(target.files ?? [])])
            // The same file again is a change again.
            target.value = ''
          }}
        />
      </Box>
      <Collapse in={isHelpOpen} unmountOnExit>
        <Box sx={{ pt: isFirst ? 4 : 1.5 }}>
          <FileHelp dataset={dataset} isCentred={isFirst} />
        </Box>
      </Collapse>
    </Paper>
  )
}
