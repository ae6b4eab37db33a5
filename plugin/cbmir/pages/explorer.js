/**
 * Links in Orthanc Explorer, whose scripts this one is appended to: from a study to the viewer, from an instance to its
 * similar cases, and from the start page to the status. `cbmirViewer`, set before, says whether OHIF is installed.
 * Addresses are relative to /app/, so that a reverse proxy may put a prefix before them.
 */
/* global $, cbmirViewer */
(function () {
  'use strict';

  async function get(path) {
    const response = await fetch(`../${path}`);
    return (await response.json()).MainDicomTags;
  }

  const button = (id, text, icon, theme = 'e') =>
    $('<a>').attr({ id, href: '#', 'data-role': 'button', 'data-icon': icon, 'data-theme': theme }).text(text);

  function openViewer(uids, hash = '') {
    const address = `../ohif/viewer?${$.param(uids)}${hash}`;
    // where the browser allows no other tab, this one will do
    if (!window.open(address, '_blank')) window.location.assign(address);
  }

  async function openStudy(studyId) {
    const study = await get(`studies/${studyId}`);
    openViewer({ StudyInstanceUIDs: study.StudyInstanceUID });
  }

  async function openSlice(instanceId) {
    const levels = ['study', 'series'].map((level) => get(`instances/${instanceId}/${level}`));
    const [study, series, instance] = await Promise.all([...levels, get(`instances/${instanceId}`)]);
    const uids = {
      StudyInstanceUIDs: study.StudyInstanceUID,
      initialSeriesInstanceUID: series.SeriesInstanceUID,
      initialSOPInstanceUID: instance.SOPInstanceUID,
    };
    // the panel searches at once
    openViewer(uids, '#find-similar');
  }

  /** Put a button at the head of the actions of a page that shows one resource. */
  function addTo(level, made, open) {
    $(`#${level}`).live('pagebeforecreate', () => {
      made.insertBefore($(`#${level}-delete`).parent().parent()).click((event) => {
        event.preventDefault();
        if ($.mobile.pageData) void open($.mobile.pageData.uuid);
      });
    });
  }

  if (cbmirViewer) {
    addTo('study', button('cbmir-open-study', 'OHIF viewer', 'search'), openStudy);
    addTo('instance', button('cbmir-open-slice', 'Similar cases', 'search'), openSlice);
  }

  $('#lookup').live('pagebeforecreate', () => {
    const status = button('cbmir-status', 'Similar cases: status', 'info', 'a');
    status.attr({ href: '../cbmir/', rel: 'external' });
    // the middle third, as the buttons of other plugins
    $('<div class="ui-grid-b">')
      .append($('<div class="ui-block-a">'), $('<div class="ui-block-b">').append(status))
      .insertAfter($('#lookup-result'));
  });
})();
