import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Typography from '@mui/material/Typography'
import type { Dataset } from '../api/types.ts'
import { sampleCsv } from '../jobs/sample.ts'
import { saveFile } from '../shell/download.tsx'
import { DownloadIcon } from '../shell/icons.tsx'

/** What a file must look like, and a small one to begin with. */
export function FileHelp({ dataset, isCentred }: { dataset: Dataset; isCentred: boolean }) {
  return (
    <Box>
      <Typography variant="body2" color="textSecondary" sx={{ maxWidth: '65ch', mx: isCentred ? 'auto' : 0 }}>
        A CSV whose first row names the columns, in any order; others are ignored. Cells are separated by
        commas, semicolons or tabs. Rows that break a rule are refused one by one, with the reason; all others
        are imported.
      </Typography>
      <Box
        component="ul"
        aria-label={`Columns of ${dataset.name}`}
        sx={{
          listStyle: 'none',
          p: 0,
          m: 0,
          my: 1.5,
          display: 'flex',
          flexWrap: 'wrap',
          gap: 1,
          justifyContent: isCentred ? 'center' : 'flex-start',
        }}
      >
        {dataset.columns.map(({ name, type, required }) => (
          <Box
            component="li"
            key={name}
            sx={{
              border: 1,
              borderColor: 'line',
              borderRadius: 1,
              px: 1.25,
              py: 0.5,
              bgcolor: 'background.default',
              fontSize: '0.8125rem',
            }}
          >
            <Box component="code" sx={{ fontWeight: 600, fontSize: '0.8125rem' }}>
              {name}
            </Box>
            <Box component="span" sx={{ color: 'text.secondary' }}>
              {' '}
              {[type, required ? 'needed' : 'optional'].filter(Boolean).join(', ')}
            </Box>
          </Box>
        ))}
      </Box>
      <Button
        size="small"
        startIcon={<DownloadIcon />}
        onClick={() =>
          saveFile(new Blob([sampleCsv(dataset)], { type: 'text/csv' }), `${dataset.name}-sample.csv`)
        }
      >
        Download a sample file
      </Button>
    </Box>
  )
}
