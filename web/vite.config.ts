import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

/** The service that `npm run dev -w web` speaks to. */
const SERVICE = process.env.PEBBLES_URL ?? 'http://localhost:8081'

export default defineConfig({
  root: import.meta.dirname,
  // Relative, so that the page also works below a path of a proxy.
  base: './',
  plugins: [react()],
  server: { proxy: { '/api': SERVICE, '/docs': SERVICE } },
  build: {
    target: 'baseline-widely-available',
    // All of it is needed at once, and nothing is worth a file that the policy for images would have to allow.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1_000,
  },
})
