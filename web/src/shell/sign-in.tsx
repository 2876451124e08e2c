import Alert from '@mui/material/Alert'
import Button from '@mui/material/Button'
import Paper from '@mui/material/Paper'
import Stack from '@mui/material/Stack'
import TextField from '@mui/material/TextField'
import Typography from '@mui/material/Typography'
import { useState } from 'react'
import { useSession } from '../api/session.ts'

interface SignInProps {
  /** Why the token that there is does not do. */
  reason?: string | undefined
}

/** Asks for a bearer token, which is kept in this tab only. */
export function SignIn({ reason }: SignInProps) {
  const { api, signIn } = useSession()
  const [token, setToken] = useState('')
  const why = reason ?? (api.token === undefined ? undefined : 'The token is not valid, or no longer.')
  return (
    <Paper
      component="form"
      variant="outlined"
      aria-labelledby="sign-in-heading"
      sx={{ borderColor: 'line', maxWidth: 480, mx: 'auto', mt: 4, p: 3 }}
      onSubmit={(event) => {
        event.preventDefault()
        const given = token.trim().replace(/^bearer\s+/i, '')
        if (given !== '') signIn(given)
      }}
    >
      <Stack sx={{ gap: 2 }}>
        <div>
          <Typography id="sign-in-heading" variant="h2">
            Sign in
          </Typography>
          <Typography variant="body2" color="textSecondary">
            This server needs a token. It is kept in this tab, and forgotten when the tab is closed.
          </Typography>
        </div>
        {why && (
          <Alert severity="warning" variant="outlined">
            {why}
          </Alert>
        )}
        <TextField
          label="Bearer token"
          type="password"
          autoComplete="off"
          required
          value={token}
          onChange={({ target }) => setToken(target.value)}
          slotProps={{ htmlInput: { spellCheck: false } }}
        />
        <Button type="submit" variant="contained" sx={{ alignSelf: 'flex-start' }}>
          Sign in
        </Button>
      </Stack>
    </Paper>
  )
}
