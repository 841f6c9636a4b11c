/** What the page gives and takes that TypeScript's own descriptions lack. */

interface Catchment {
  (...args: any[]): void;
  /** Calls made before the script was there; 1 once it is. */
  q?: any;
}

interface Window {
  catchment?: Catchment;
  catchmentSettings?: Record<string, any>;
}

interface Navigator {
  globalPrivacyControl?: boolean;
}

interface Document {
  prerendering?: boolean;
}
