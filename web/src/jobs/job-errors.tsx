import Box from '@mui/material/Box'
import Typography from '@mui/material/Typography'
import type { JobError } from '../api/types.ts'
import { formatCount } from '../format.ts'

/** Refused rows that a row opens to; all are in the report. */
export const SHOWN_ERRORS = 50

interface JobErrorsProps {
  errors: readonly JobError[]
  total: number
  filename: string
}

/** The first refused rows: number, reasons, and the cells as they stood in the file. Scrolls by itself, also by keyboard. */
export function JobErrors({ errors, total, filename }: JobErrorsProps) {
  const shown = errors.slice(0, SHOWN_ERRORS)
  return (
    <>
      <Box
        component="section"
        aria-label={`First refused rows of ${filename}`}
        // What scrolls must be reachable by keyboard (WCAG 2.1.1).
        tabIndex={0}
        sx={{
          maxHeight: 360,
          overflow: 'auto',
          border: 1,
          borderColor: 'line',
          borderRadius: 1,
          bgcolor: 'background.paper',
        }}
      >
        <Box component="ol" sx={{ listStyle: 'none', m: 0, p: 0 }}>
          {shown.map(({ rowNumber, message, row }) => (
            <Box
              component="li"
              key={rowNumber}
              sx={{
                px: 1.5,
                py: 1,
                display: 'grid',
                gridTemplateColumns: { xs: '1fr', sm: '96px 1fr' },
                columnGap: 2,
                '& + li': { borderTop: 1, borderColor: 'line' },
              }}
            >
              <Typography variant="body2" sx={{ fontWeight: 650 }}>
                Row {formatCount(rowNumber)}
              </Typography>
              <Box sx={{ minWidth: 0 }}>
                <Typography
                  variant="body2"
                  sx={({ vars }) => ({ color: vars!.palette.tones.bad.text, overflowWrap: 'anywhere' })}
                >
                  {message}
                </Typography>
                <Cells row={row} />
              </Box>
            </Box>
          ))}
        </Box>
      </Box>
      {total > shown.length && (
        <Typography variant="caption" color="textSecondary" component="p" sx={{ mt: 0.5 }}>
          The first {formatCount(shown.length)} of {formatCount(total)}. All are in the error report.
        </Typography>
      )}
    </>
  )
}

function Cells({ row }: { row: Record<string, string> }) {
  return (
    <Box
      component="dl"
      sx={{
        m: 0,
        mt: 0.25,
        display: 'flex',
        flexWrap: 'wrap',
        columnGap: 2,
        fontSize: '0.75rem',
        '& > div': { display: 'flex', gap: 0.5, minWidth: 0 },
        '& dt': { color: 'text.secondary' },
        '& dd': { m: 0, overflowWrap: 'anywhere', minWidth: 0 },
      }}
    >
      {Object.entries(row).map(([column, cell]) => (
        <div key={column}>
          <dt>{column}:</dt>
          <dd>
            {cell === '' ? (
              <Box component="span" sx={{ color: 'text.secondary', fontStyle: 'italic' }}>
                empty
              </Box>
            ) : (
              cell
            )}
          </dd>
        </div>
      ))}
    </Box>
  )
}
