export { type AdmissionGate, isRefusal, type Permit, type Refusal } from './gate.ts';
export {
  admittedAs,
  type RequestAdmission,
  type RouteAdmission,
  refusalError,
} from './request-admission.ts';
export { ADMISSION_SETTINGS, admissionOf } from './settings.ts';
