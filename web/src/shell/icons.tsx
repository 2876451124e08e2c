import SvgIcon, { type SvgIconProps } from '@mui/material/SvgIcon'

/** Icons of the page, drawn as lines on a grid of 24. */
function lineIcon(path: string) {
  return (props: SvgIconProps) => (
    <SvgIcon {...props} aria-hidden>
      <path
        d={path}
        fill="none"
        stroke="currentColor"
        strokeWidth={1.8}
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </SvgIcon>
  )
}

const CIRCLE = 'M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18'

export const UploadIcon = lineIcon('M12 16V4M7.5 8.5L12 4l4.5 4.5M4 15v4a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-4')
export const DownloadIcon = lineIcon(
  'M12 4v12M7.5 11.5L12 16l4.5-4.5M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3',
)
export const ChevronIcon = lineIcon('M9 6l6 6-6 6')
export const CloseIcon = lineIcon('M6 6l12 12M18 6L6 18')
export const TrashIcon = lineIcon('M4 7h16M9 7V4.5h6V7M6.5 7l.8 13h9.4l.8-13M10.2 11v5.5M13.8 11v5.5')
export const RetryIcon = lineIcon('M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9.5M20 4.5v5h-5')
export const StopIcon = lineIcon(`${CIRCLE}M9.2 9.2h5.6v5.6H9.2z`)
export const CheckIcon = lineIcon(`${CIRCLE}M8 12.3l2.8 2.7L16 9.5`)
export const FailIcon = lineIcon(`${CIRCLE}M12 7.5v5.5M12 16.3v.2`)
export const WaitIcon = lineIcon(`${CIRCLE}M12 7.5V12l3 2`)
export const BanIcon = lineIcon(`${CIRCLE}M5.8 5.8l12.4 12.4`)
export const RunIcon = lineIcon('M12 3a9 9 0 1 0 9 9M12 3v4M21 12h-4M17.8 6.2l-2.6 2.6')
export const ReceiptIcon = lineIcon('M6 3.5h12v17l-3-2-3 2-3-2-3 2zM9.5 8.5h5M9.5 12.5h5')
export const SunIcon = lineIcon(
  'M12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4',
)
export const MoonIcon = lineIcon('M20 14.2A8.2 8.2 0 0 1 9.8 4 8.2 8.2 0 1 0 20 14.2z')
export const ScreenIcon = lineIcon('M4 5h16v11H4zM9 20h6M12 16v4')
export const FileIcon = lineIcon('M7 3.5h7l4.5 4.5v12.5H7zM13.8 3.8V8.3h4.5')
export const HelpIcon = lineIcon(`${CIRCLE}M9.6 9.6a2.4 2.4 0 1 1 3.4 2.2c-.7.4-1 .9-1 1.7M12 16.6v.1`)

/** The mark of the product: three pebbles. */
export function Mark(props: SvgIconProps) {
  return (
    <SvgIcon viewBox="0 0 32 32" {...props} aria-hidden>
      <ellipse cx="11" cy="21.5" rx="8.5" ry="6.5" fill="#0f766e" />
      <ellipse cx="22.5" cy="22.5" rx="6.5" ry="5.2" fill="#5eaaa1" />
      <ellipse cx="17" cy="10.5" rx="6" ry="4.8" fill="#d97745" />
    </SvgIcon>
  )
}
