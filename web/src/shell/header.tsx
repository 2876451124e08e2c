import Box from '@mui/material/Box'
import Button from '@mui/material/Button'
import Container from '@mui/material/Container'
import IconButton from '@mui/material/IconButton'
import ListItemIcon from '@mui/material/ListItemIcon'
import ListItemText from '@mui/material/ListItemText'
import Menu from '@mui/material/Menu'
import MenuItem from '@mui/material/MenuItem'
import { useColorScheme } from '@mui/material/styles'
import Tooltip from '@mui/material/Tooltip'
import Typography from '@mui/material/Typography'
import { type ReactNode, useState } from 'react'
import { useSession } from '../api/session.ts'
import { Mark, MoonIcon, ScreenIcon, SunIcon } from './icons.tsx'

export function Header({ children }: { children?: ReactNode }) {
  const { api, signOut } = useSession()
  return (
    <Box component="header" sx={{ borderBottom: 1, borderColor: 'line', bgcolor: 'background.paper' }}>
      <Container maxWidth="lg" sx={{ display: 'flex', alignItems: 'center', gap: 1, height: 56 }}>
        <Mark />
        <Typography variant="h1" sx={{ flex: 1 }}>
          Pebbles
        </Typography>
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
  { mode: 'dark', name: 'Dark', Icon: MoonIcon },
  { mode: 'system', name: 'As the system', Icon: ScreenIcon },
] as const

/** Light, dark, or as the system is; the browser remembers it. */
function ThemeSwitch() {
  const { mode, setMode } = useColorScheme()
  const [anchor, setAnchor] = useState<HTMLElement | null>(null)
  const { Icon, name } = MODES.find((each) => each.mode === mode) ?? MODES[2]
  return (
    <>
      <Tooltip title="Colours" describeChild>
        <IconButton
          aria-label={`Colours: ${name}`}
          aria-haspopup="menu"
          aria-expanded={anchor !== null}
          onClick={({ currentTarget }) => setAnchor(currentTarget)}
          sx={{ mr: -1 }}
        >
          <Icon fontSize="small" />
        </IconButton>
      </Tooltip>
      <Menu anchorEl={anchor} open={anchor !== null} onClose={() => setAnchor(null)}>
        {MODES.map((each) => (
          <MenuItem
            key={each.mode}
            role="menuitemradio"
            aria-checked={each.mode === mode}
            selected={each.mode === mode}
            onClick={() => {
              setMode(each.mode)
              setAnchor(null)
            }}
          >
            <ListItemIcon>
              <each.Icon fontSize="small" />
            </ListItemIcon>
            <ListItemText>{each.name}</ListItemText>
          </MenuItem>
        ))}
      </Menu>
    </>
  )
}
