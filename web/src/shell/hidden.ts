/** Not seen, and read aloud all the same. Sizes in px: the system of styles takes 1 for 100 %. */
export const HIDDEN = {
  position: 'absolute',
  width: '1px',
  height: '1px',
  m: 0,
  overflow: 'hidden',
  clipPath: 'inset(50%)',
  whiteSpace: 'nowrap',
} as const
