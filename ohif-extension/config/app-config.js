/*
 * OHIF's configuration inside Orthanc. The page sets PUBLIC_URL ("/ohif/", or "/pacs/ohif/" behind a proxy) before it
 * loads this file; Orthanc is the folder above.
 */
(function configure() {
  const viewer = window.PUBLIC_URL;
  const orthanc = viewer.replace(/[^/]+\/$/, '');

  window.config = {
    // Without the slash at the end: OHIF's router shows an empty page for "/ohif" otherwise.
    routerBasename: viewer.slice(0, -1),
    extensions: [`${viewer}cbmir/extension.js`],
    modes: [],
    // The guided tour dims the first study opened, and the question whether to track measurements interrupts a reading.
    customizationService: [{ 'ohif.tours': { $set: [] } }],
    measurementTrackingMode: 'none',
    investigationalUseDialog: { option: 'never' },
    showStudyList: true,
    showWarningMessageForCrossOrigin: false,
    showCPUFallbackMessage: false,
    strictZSpacingForVolumeViewport: true,
    maxNumberOfWebWorkers: 2,
    defaultDataSourceName: 'orthanc',
    dataSources: [
      {
        namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
        sourceName: 'orthanc',
        configuration: {
          friendlyName: 'Orthanc',
          name: 'Orthanc',
          qidoRoot: `${orthanc}dicom-web`,
          wadoRoot: `${orthanc}dicom-web`,
          wadoUriRoot: `${orthanc}wado`,
          imageRendering: 'wadors',
          thumbnailRendering: 'wadors',
          qidoSupportsIncludeField: true,
          enableStudyLazyLoad: true,
          supportsFuzzyMatching: false,
          supportsWildcard: true,
          supportsReject: false,
          dicomUploadEnabled: false,
          omitQuotationForMultipartRequest: true,
          bulkDataURI: { enabled: true },
        },
      },
    ],
  };

  // Orthanc's DICOMweb plugin 1.7 does not decode the commas of "includefield=a%2Cb": study descriptions would be
  // missing in the list.
  const open = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function openWithCommas(method, url, ...rest) {
    const address = String(url);
    const plain = /[?&]includefield=/.test(address) ? address.replace(/%2C/gi, ',') : address;
    return open.call(this, method, plain, ...rest);
  };
})();
