<%@ page session="false" contentType="text/plain;charset=UTF-8" import="java.util.*" %><%
// Shows who answers and what the session holds; counts the session's requests.
//   ?put=NAME&value=VALUE   stores a value, making a session when there is none
//   ?new=1                  makes a session
//   ?go=1                   redirects to this page by an absolute URL
// A session that is asked for and not there is said so, never replaced.
String put = request.getParameter("put");
HttpSession s = request.getSession(put != null || request.getParameter("new") != null);
if (request.getParameter("go") != null) { response.sendRedirect(request.getRequestURL().toString()); return; }
out.print("node=" + System.getProperty("route") + "\n");
if (s == null) {
  out.print("no session\n");
} else {
  if (put != null) s.setAttribute(put, request.getParameter("value"));
  Integer hits = (Integer) s.getAttribute("hits");
  s.setAttribute("hits", hits == null ? 1 : hits + 1);
  out.print("id=" + s.getId() + "\n");
  for (String name : new TreeSet<>(Collections.list(s.getAttributeNames())))
    out.print(name + "=" + s.getAttribute(name) + "\n");
}
%>
