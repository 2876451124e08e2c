import { createTheme } from '@mui/material/styles'

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

/** Colours of the states of a job: text and icon, a tint behind them, and the bar. */
interface Tones {
  neutral: Tone
  active: Tone
  good: Tone
  bad: Tone
}
interface Tone {
  text: string
  tint: string
  bar: string
}

declare module '@mui/material/styles' {
  interface Palette {
    tones: Tones
    /** Lines between things, the edge of what takes something in, and the ground that bars lie on. */
    line: string
    edge: string
    ground: string
  }
  interface PaletteOptions {
    tones?: Tones
    line?: string
    edge?: string
    ground?: string
  }
}

/** Every text has a contrast of at least 4.5 to what it lies on, in both schemes (WCAG 2.2, 1.4.3). */
export const theme = createTheme({
  cssVariables: { colorSchemeSelector: 'data' },
  colorSchemes: {
    light: {
      palette: {
        primary: { main: '#0b6e66', dark: '#085650', contrastText: '#ffffff' },
        error: { main: '#b3261e', contrastText: '#ffffff' },
        warning: { main: '#8a5300' },
        success: { main: '#1b6e3c' },
        text: { primary: '#1b2321', secondary: '#56625f' },
        background: { default: '#f5f6f4', paper: '#ffffff' },
        divider: '#dfe3e0',
        line: '#dfe3e0',
        edge: '#a9b4b0',
        ground: '#eceeeb',
        tones: {
          neutral: { text: '#4b5754', tint: '#e9ecea', bar: '#9aa5a1' },
          active: { text: '#175a9c', tint: '#e2eefa', bar: '#2f7dc8' },
          good: { text: '#17653a', tint: '#e0f2e6', bar: '#2f9a5c' },
          bad: { text: '#a3231b', tint: '#fbe6e3', bar: '#cf4b40' },
        },
      },
    },
    dark: {
      palette: {
        primary: { main: '#5cc4b8', dark: '#7fd4ca', contrastText: '#06201d' },
        error: { main: '#ff9a8f', contrastText: '#3b0a06' },
        warning: { main: '#f0bd6a' },
        success: { main: '#7ed3a0' },
        text: { primary: '#e8edeb', secondary: '#a3b0ac' },
        background: { default: '#101514', paper: '#181f1d' },
        divider: '#2b3532',
        line: '#2b3532',
        edge: '#566460',
        ground: '#212a27',
        tones: {
          neutral: { text: '#b3bfbb', tint: '#29322f', bar: '#6d7a76' },
          active: { text: '#93c6f5', tint: '#17304a', bar: '#4b9be4' },
          good: { text: '#86d9a8', tint: '#143524', bar: '#3fae70' },
          bad: { text: '#ffa79d', tint: '#43201c', bar: '#e0685d' },
        },
      },
    },
  },
  shape: { borderRadius: 8 },
  typography: {
    fontFamily: FONT,
    fontSize: 14,
    h1: { fontSize: '1.375rem', fontWeight: 650, letterSpacing: '-0.01em' },
    h2: { fontSize: '1rem', fontWeight: 650 },
    h3: { fontSize: '0.875rem', fontWeight: 650 },
    button: { textTransform: 'none', fontWeight: 600 },
    body1: { fontSize: '0.9375rem' },
    body2: { fontSize: '0.8125rem' },
    caption: { fontSize: '0.75rem', lineHeight: 1.5 },
  },
  components: {
    MuiCssBaseline: {
      styleOverrides: (theme) => ({
        body: { fontVariantNumeric: 'tabular-nums' },
        ':focus-visible': { outline: `2px solid ${theme.vars!.palette.primary.main}`, outlineOffset: 2 },
        '@media (prefers-reduced-motion: reduce)': {
          '*, *::before, *::after': {
            animationDuration: '0.01ms !important',
            animationIterationCount: '1 !important',
            transitionDuration: '0.01ms !important',
            scrollBehavior: 'auto !important',
          },
        },
      }),
    },
    // The ring above tells the focus; a ripple on top would hide it.
    MuiButtonBase: {
      defaultProps: { disableRipple: true },
      styleOverrides: {
        root: ({ theme }) => ({
          '&:focus-visible': {
            outline: `2px solid ${theme.vars!.palette.primary.main}`,
            outlineOffset: 2,
          },
        }),
      },
    },
    MuiButton: { defaultProps: { disableElevation: true } },
    MuiPaper: { defaultProps: { elevation: 0 }, styleOverrides: { root: { backgroundImage: 'none' } } },
    MuiDialog: { defaultProps: { fullWidth: true, maxWidth: 'xs' } },
    MuiDialogTitle: { styleOverrides: { root: { fontSize: '1.125rem', fontWeight: 650 } } },
    MuiDialogActions: { styleOverrides: { root: { padding: '8px 24px 20px' } } },
    MuiTooltip: { defaultProps: { enterDelay: 400 } },
    MuiTableCell: {
      styleOverrides: {
        root: ({ theme }) => ({ borderColor: theme.vars!.palette.line }),
        head: ({ theme }) => ({
          color: theme.vars!.palette.text.secondary,
          fontSize: '0.75rem',
          fontWeight: 600,
          lineHeight: 1.4,
        }),
      },
    },
  },
})
