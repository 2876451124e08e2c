import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Container from '@mui/material/Container'
import { useColorScheme } from '@mui/material/styles'
import ToggleButton from '@mui/material/ToggleButton'
import ToggleButtonGroup from '@mui/material/ToggleButtonGroup'
import Typography from '@mui/material/Typography'
import type { ReactNode } from 'react'
import { useSession } from '../api/session.ts'
import { Mark, MoonIcon, ScreenIcon, SunIcon } from './icons.tsx'

export function Header({ children }: { children?: ReactNode }) {
  const { api, signOut } = useSession()
  return (
    <Box component="header" sx={{ borderBottom: 1, borderColor: 'line', bgcolor: 'background.paper' }}>
      <Container
        maxWidth="lg"
        sx={{
          display: 'flex',
          flexWrap: 'wrap',
          alignItems: 'center',
          justifyContent: 'flex-end',
          columnGap: 1,
          minHeight: 56,
          py: 1,
        }}
      >
        <Box sx={{ flex: 1, display: 'flex', alignItems: 'center', gap: 1 }}>
          <Mark />
          <Typography variant="h1">Pebbles</Typography>
        </Box>
        {children}
        {api.token !== undefined && (
          <Button size="small" color="inherit" onClick={signOut}>
            Sign out
          </Button>
        )}
        <ThemeSwitch />
      </Container>
    </Box>
  )
}

const MODES = [
  { mode: 'light', name: 'Light', Icon: SunIcon },
  { mode: 'system', name: 'As the system', Icon: ScreenIcon },
  { mode: 'dark', name: 'Dark', Icon: MoonIcon },
] as const

/** Light, dark, or as the system is; the browser remembers it. */
function ThemeSwitch() {
  const { mode, setMode } = useColorScheme()
  return (
    <ToggleButtonGroup
      exclusive
      size="small"
      aria-label="Colours"
      value={mode ?? 'system'}
      onChange={(_event, next) => next && setMode(next)}
      sx={{ ml: 1 }}
    >
      {MODES.map(({ mode, name, Icon }) => (
        <ToggleButton
          key={mode}
          value={mode}
          aria-label={name}
          title={name}
          sx={{ p: 0.625, borderColor: 'line' }}
        >
          <Icon sx={{ fontSize: 16 }} />
        </ToggleButton>
      ))}
    </ToggleButtonGroup>
  )
}
