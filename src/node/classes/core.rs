//! Classes of the server itself: connectors, containers, managers, realms, listeners.

use super::State::{Idle, Missing, Used};
use super::{Class, Kind, class, open};

/// The rows.
pub(super) static CLASSES: &[Class] = &[
    class(
        Kind::Server,
        "org.apache.catalina.core.StandardServer",
        Used,
        "address:s=localhost periodicEventDelay:i=10 port:i=8005 portOffset:i=0 shutdown:s=SHUTDOWN \
         utilityThreads:i=2 utilityThreadsAsDaemon:b=false",
    ),
    class(Kind::Service, "org.apache.catalina.core.StandardService", Used, "gracefulStopAwaitMillis:l=0 name:s"),
    class(
        Kind::Executor,
        "org.apache.catalina.core.StandardThreadExecutor",
        Used,
        "daemon:b=true maxIdleTime:i=60000 maxQueueSize:i=2147483647 maxThreads:i=200 minSpareThreads:i=25 name:s \
         namePrefix:s=tomcat-exec- threadPriority:i=5 threadRenewalDelay:l=1000",
    ),
    class(
        Kind::Executor,
        "org.apache.catalina.core.StandardVirtualThreadExecutor",
        Used,
        "name:s namePrefix:s=tomcat-virt-",
    ),
    class(
        Kind::Connector,
        "org.apache.catalina.connector.Connector",
        Used,
        "URIEncoding:s=UTF-8 allowBackslash:b=false allowTrace:b=false asyncTimeout:l=30000 discardFacades:b=true \
         enableLookups:b=false encodedReverseSolidusHandling:s=decode encodedSolidusHandling:s=reject \
         enforceEncodingInGetWriter:b=true maxCookieCount:i=200 maxParameterCount:i=10000 maxPartCount:i=50 \
         maxPartHeaderSize:i=512 maxPostSize:i=2097152 maxSavePostSize:i=4096 parseBodyMethods:s=POST port:i=-1 \
         portOffset:i=0 proxyName:s proxyPort:i=0 redirectPort:i=443 rejectSuspiciousURIs:b=false scheme:s=http \
         secure:b=false useBodyEncodingForURI:b=false useIPVHosts:b=false xpoweredBy:b=false protocol:s=HTTP/1.1 \
         executor:s SSLEnabled:b=false acceptCount:i=100 acceptorThreadPriority:i=5 address:s \
         allowHostHeaderMismatch:b=false allowedTrailerHeaders:s clientCertProvider:s compressibleMimeType:s \
         compression:s=off compressionMinSize:i=2048 connectionLinger:i=-1 connectionTimeout:i=60000 \
         connectionUploadTimeout:i=300000 continueResponseTiming:s=immediately defaultSSLHostConfigName:s=_default_ \
         disableUploadTimeout:b=true keepAliveTimeout:i=60000 maxConnections:i=8192 maxExtensionSize:i=8192 \
         maxHeaderCount:i=100 maxHttpHeaderSize:i=8192 maxHttpRequestHeaderSize:i=8192 \
         maxHttpResponseHeaderSize:i=8192 maxKeepAliveRequests:i=100 maxQueueSize:i=2147483647 maxSwallowSize:i=2097152 \
         maxThreads:i=200 maxTrailerSize:i=8192 minSpareThreads:i=10 \
         noCompressionEncodings:s=br,zstd,dcb,deflate,pack200-gzip,compress,dcz,gzip noCompressionUserAgents:s \
         pollerThreadPriority:i=5 processorCache:i=200 rejectIllegalHeader:b=true relaxedPathChars:s \
         relaxedQueryChars:s restrictedUserAgents:s selectorTimeout:l=1000 server:s \
         serverRemoveAppProvidedValues:b=false sniParseLimit:i=65536 sslImplementationName:s strictSni:b=true tcpNoDelay:b=true \
         threadPriority:i=5 useKeepAliveResponseHeader:b=true useSendfile:b=true secret:s requiredSecret:s \
         secretRequired:b=true allowedRequestAttributesPattern:s packetSize:i=8192 tomcatAuthentication:b=true \
         tomcatAuthorization:b=false ajpFlush:b=true",
    ),
    class(
        Kind::Engine,
        "org.apache.catalina.core.StandardEngine",
        Used,
        "backgroundProcessorDelay:i=10 defaultHost:s jvmRoute:s name:s startChildren:b=true startStopThreads:i=1",
    ),
    class(
        Kind::Host,
        "org.apache.catalina.core.StandardHost",
        Used,
        "appBase:s=webapps autoDeploy:b=true backgroundProcessorDelay:i=-1 \
         configClass:s=org.apache.catalina.startup.ContextConfig \
         contextClass:s=org.apache.catalina.core.StandardContext copyXML:b=false createDirs:b=true deployIgnore:s \
         deployOnStartup:b=true deployXML:b=true errorReportValveClass:s=org.apache.catalina.valves.ErrorReportValve \
         failCtxIfServletStartFails:b=false legacyAppBase:s=webapps-javaee name:s startChildren:b=true \
         startStopThreads:i=1 undeployOldVersions:b=false unpackWARs:b=true workDir:s xmlBase:s",
    ),
    class(
        Kind::Context,
        "org.apache.catalina.core.StandardContext",
        Used,
        "addWebinfClassesResources:b=false allowCasualMultipartParsing:b=false \
         allowMultipleLeadingForwardSlashInPath:b=false altDDName:s alwaysAccessSession:b=false \
         antiResourceLocking:b=false backgroundProcessorDelay:i=-1 \
         charsetMapperClass:s=org.apache.catalina.util.CharsetMapper clearReferencesHttpClientKeepAliveThread:b=true \
         clearReferencesObjectStreamClassCaches:b=true clearReferencesRmiTargets:b=true \
         clearReferencesStopThreads:b=false clearReferencesStopTimerThreads:b=false \
         clearReferencesThreadLocals:b=true configured:b=false containerSciFilter:s \
         contextGetResourceRequiresSlash:b=false cookies:b=true copyXML:b=false createUploadTargets:b=false \
         crossContext:b=false defaultContextXml:s defaultWebXml:s delegate:b=false denyUncoveredHttpMethods:b=false \
         dispatcherWrapsSameObject:b=false dispatchersUseEncodedPaths:b=true displayName:s distributable:b=false \
         docBase:s effectiveMajorVersion:i=3 effectiveMinorVersion:i=0 encodedReverseSolidusHandling:s=decode \
         encodedSolidusHandling:s=decode failCtxIfServletStartFails:b fireRequestListenersOnForwards:b=false \
         ignoreAnnotations:b=false j2EEApplication:s=none j2EEServer:s=none jndiExceptionOnFailedWrite:b=true \
         logEffectiveWebXml:b=false mapperContextRootRedirectEnabled:b=true mapperDirectoryRedirectEnabled:b=false \
         name:s notFoundClassResourceCacheSize:i=1000 originalDocBase:s override:b=false \
         parallelAnnotationScanning:b=false path:s preemptiveAuthentication:b=false privileged:b=false publicId:s \
         reloadable:b=false renewThreadsWhenStoppingContext:b=true replaceWelcomeFiles:b=false \
         requestCharacterEncoding:s resourceOnlyServlets:s=jsp responseCharacterEncoding:s sendRedirectBody:b=false \
         server:s sessionCookieDomain:s sessionCookieName:s sessionCookiePath:s \
         sessionCookiePathUsesTrailingSlash:b=false sessionTimeout:i=30 skipMemoryLeakChecksOnJvmShutdown:b=false \
         startChildren:b=true startStopThreads:i=1 startupTime:l=0 suspendWrappedResponseAfterForward:b=false \
         swallowAbortedUploads:b=true swallowOutput:b=false tldScanTime:l=0 tldValidation:b=false unloadDelay:l=2000 \
         unpackWAR:b=true urlPatternsProvidedInDecodedForm:b=false useBloomFilterForArchives:b=false \
         useHttpOnly:b=true useNaming:b=true usePartitioned:b=false useRelativeRedirects:b=true \
         validateClientProvidedNewSessionId:b=true webappVersion:s workDir:s \
         wrapperClass:s=org.apache.catalina.core.StandardWrapper xmlBlockExternal:b=true xmlNamespaceAware:b=false \
         xmlValidation:b=false",
    ),
    class(
        Kind::Realm,
        "org.apache.catalina.realm.LockOutRealm",
        Idle,
        "allRolesMode:s=strict cacheRemovalWarningTime:i=3600 cacheSize:i=1000 caseSensitive:b=false failureCount:i=5 \
         lockOutTime:i=300 realmPath:s=/realm0 stripRealmForGss:b=true transportGuaranteeRedirectStatus:i=302 \
         userAttributes:s validate:b=true x509UsernameRetrieverClassName:s",
    ),
    class(
        Kind::Realm,
        "org.apache.catalina.realm.UserDatabaseRealm",
        Idle,
        "allRolesMode:s=strict localJndiResource:b=false realmPath:s=/realm0 resourceName:s=UserDatabase \
         stripRealmForGss:b=true transportGuaranteeRedirectStatus:i=302 useStaticPrincipal:b=false userAttributes:s \
         validate:b=true x509UsernameRetrieverClassName:s",
    ),
    class(
        Kind::Realm,
        "org.apache.catalina.realm.MemoryRealm",
        Idle,
        "allRolesMode:s=strict pathname:s=conf/tomcat-users.xml realmPath:s=/realm0 stripRealmForGss:b=true \
         transportGuaranteeRedirectStatus:i=302 userAttributes:s validate:b=true x509UsernameRetrieverClassName:s",
    ),
    class(
        Kind::Manager,
        "org.apache.catalina.ha.session.DeltaManager",
        Used,
        "enableStatistics:b=true expireSessionsOnShutdown:b=false maxActiveSessions:i=-1 name:s \
         notifyAttributeListenerOnUnchangedValue:b=true notifyBindingListenerOnUnchangedValue:b=false \
         notifyContainerListenersOnReplication:b=true notifyListenersOnReplication:b=true \
         notifySessionListenersOnReplication:b=true persistAuthentication:b=false processExpiresFrequency:i=6 \
         recordAllActions:b=false secureRandomAlgorithm:s=SHA1PRNG secureRandomClass:s secureRandomProvider:s \
         sendAllSessions:b=true sendAllSessionsSize:i=1000 sendAllSessionsWaitTime:i=2000 \
         sessionActivityCheck:b=false sessionAttributeNameFilter:s sessionAttributeValueClassNameFilter:s \
         sessionLastAccessAtStart:b=false stateTimestampDrop:b=true stateTransferTimeout:i=60 \
         warnOnSessionAttributeFilterFailure:b=false",
    ),
    class(
        Kind::Manager,
        "org.apache.catalina.ha.session.BackupManager",
        Used,
        "accessTimeout:l=5000 mapSendOptions:o=6 maxActiveSessions:i=-1 name:s \
         notifyAttributeListenerOnUnchangedValue:b=true notifyBindingListenerOnUnchangedValue:b=false \
         notifyListenersOnReplication:b=true persistAuthentication:b=false processExpiresFrequency:i=6 \
         recordAllActions:b=false rpcTimeout:l=15000 secureRandomAlgorithm:s=SHA1PRNG secureRandomClass:s \
         secureRandomProvider:s sessionActivityCheck:b=false sessionAttributeNameFilter:s \
         sessionAttributeValueClassNameFilter:s sessionLastAccessAtStart:b=false terminateOnStartFailure:b=false \
         warnOnSessionAttributeFilterFailure:b=false",
    ),
    class(
        Kind::Manager,
        "org.apache.catalina.session.StandardManager",
        Used,
        "maxActiveSessions:i=-1 notifyAttributeListenerOnUnchangedValue:b=true \
         notifyBindingListenerOnUnchangedValue:b=false pathname:s persistAuthentication:b=false \
         processExpiresFrequency:i=6 secureRandomAlgorithm:s=SHA1PRNG secureRandomClass:s secureRandomProvider:s \
         sessionActivityCheck:b=false sessionAttributeNameFilter:s sessionAttributeValueClassNameFilter:s \
         sessionLastAccessAtStart:b=false warnOnSessionAttributeFilterFailure:b=false",
    ),
    class(
        Kind::Manager,
        "org.apache.catalina.session.PersistentManager",
        Missing("sessions are kept in memory only"),
        "maxActiveSessions:i=-1 maxIdleBackup:i=-1 maxIdleSwap:i=-1 minIdleSwap:i=-1 \
         notifyAttributeListenerOnUnchangedValue:b=true notifyBindingListenerOnUnchangedValue:b=false \
         persistAuthentication:b=false processExpiresFrequency:i=6 saveOnRestart:b=true \
         secureRandomAlgorithm:s=SHA1PRNG secureRandomClass:s secureRandomProvider:s sessionActivityCheck:b=false \
         sessionAttributeNameFilter:s sessionAttributeValueClassNameFilter:s sessionLastAccessAtStart:b=false \
         warnOnSessionAttributeFilterFailure:b=false",
    ),
    class(
        Kind::SessionIdGenerator,
        "org.apache.catalina.util.StandardSessionIdGenerator",
        Used,
        "jvmRoute:s secureRandomAlgorithm:s=SHA1PRNG secureRandomClass:s secureRandomProvider:s sessionIdLength:i=16",
    ),
    class(
        Kind::CookieProcessor,
        "org.apache.tomcat.util.http.Rfc6265CookieProcessor",
        Used,
        "cookiesWithoutEquals:s=name partitioned:b=false sameSiteCookies:s=UNSET",
    ),
    open(Kind::Listener, "org.apache.catalina.startup.VersionLoggerListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.AprLifecycleListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.OpenSSLLifecycleListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.JreMemoryLeakPreventionListener", Idle),
    open(Kind::Listener, "org.apache.catalina.mbeans.GlobalResourcesLifecycleListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.ThreadLocalLeakPreventionListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.JniLifecycleListener", Idle),
    open(Kind::Listener, "org.apache.catalina.startup.UserConfig", Idle),
    open(Kind::Listener, "org.apache.catalina.startup.EngineConfig", Idle),
    open(Kind::Listener, "org.apache.catalina.startup.HostConfig", Idle),
    open(Kind::Listener, "org.apache.catalina.startup.ContextConfig", Idle),
    open(Kind::Listener, "org.apache.catalina.core.JasperListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.NamingContextListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.ContextNamingInfoListener", Idle),
    open(Kind::Listener, "org.apache.catalina.core.PropertiesRoleMappingListener", Idle),
    open(Kind::Listener, "org.apache.catalina.storeconfig.StoreConfigLifecycleListener", Idle),
    open(Kind::Listener, "org.apache.catalina.security.TLSCertificateReloadListener", Idle),
    open(
        Kind::Listener,
        "org.apache.catalina.ha.backend.HeartbeatListener",
        Missing("no proxy is told how much there is to do here"),
    ),
    open(Kind::Realm, "org.apache.catalina.realm.CombinedRealm", Idle),
    open(Kind::Realm, "org.apache.catalina.realm.AuthenticatedUserRealm", Idle),
    open(Kind::Realm, "org.apache.catalina.realm.NullRealm", Idle),
    open(Kind::Realm, "org.apache.catalina.realm.DataSourceRealm", Idle),
    open(Kind::Realm, "org.apache.catalina.realm.JNDIRealm", Idle),
    open(Kind::Realm, "org.apache.catalina.realm.JAASRealm", Idle),
    open(Kind::CredentialHandler, "org.apache.catalina.realm.MessageDigestCredentialHandler", Idle),
    open(Kind::CredentialHandler, "org.apache.catalina.realm.SecretKeyCredentialHandler", Idle),
    open(Kind::CredentialHandler, "org.apache.catalina.realm.NestedCredentialHandler", Idle),
    open(
        Kind::Listener,
        "org.apache.catalina.security.SecurityListener",
        Missing("the checks of the start are not made"),
    ),
    class(Kind::Connector, "dev.tandem.SessionApi", Used, "address:s=127.0.0.1 port:i=-1 token:s"),
    class(
        Kind::UpgradeProtocol,
        "org.apache.coyote.http2.Http2Protocol",
        Used,
        "allowSchemeMismatch:b=false discardRequestsAndResponses:b=false drainTimeout:l=1000 initialWindowSize:i=65535 \
         initiatePingDisabled:b=false keepAliveTimeout:l=20000 maxConcurrentStreamExecution:i=20 \
         maxConcurrentStreams:l=100 maxHeaderCount:i=100 maxTrailerCount:i=100 overheadContinuationThreshold:i=1024 \
         overheadCountFactor:i=10 overheadDataThreshold:i=1024 overheadResetFactor:i=50 \
         overheadWindowUpdateThreshold:i=1024 readTimeout:l=5000 streamReadTimeout:l=20000 streamWriteTimeout:l=20000 \
         useSendfile:b=true writeTimeout:l=5000",
    ),
    class(
        Kind::SslHostConfig,
        "org.apache.tomcat.util.net.SSLHostConfig",
        Used,
        "caCertificateFile:s caCertificatePath:s certificateRevocationListFile:s certificateRevocationListPath:s \
         certificateVerification:s=none certificateVerificationDepth:i=10 cipherSuites:s ciphers:s \
         disableCompression:b=true disableSessionTickets:b=false groups:s honorCipherOrder:b=false \
         hostName:s=_default_ insecureRenegotiation:b=false keyManagerAlgorithm:s ocspEnabled:b=false \
         ocspSoftFail:b=true ocspTimeout:i=15000 ocspVerifyFlags:i=0 protocols:s=all revocationEnabled:b=false \
         sessionCacheSize:i=-1 sessionTimeout:i=86400 sslProtocol:s=TLS trustManagerClassName:s \
         truststoreAlgorithm:s truststoreFile:s truststorePassword:s truststoreProvider:s truststoreType:s",
    ),
    class(
        Kind::Certificate,
        "",
        Used,
        "certificateChainFile:s certificateFile:s certificateKeyAlias:s certificateKeyFile:s certificateKeyPassword:s \
         certificateKeyPasswordFile:s certificateKeystoreFile:s certificateKeystorePassword:s=changeit \
         certificateKeystorePasswordFile:s certificateKeystoreProvider:s certificateKeystoreType:s type:s=UNDEFINED",
    ),
    open(Kind::OpenSslConf, "", Missing("OpenSSL is not what does TLS here")),
    open(Kind::Free, "", Idle),
    class(Kind::Alias, "", Used, ""),
    class(Kind::GlobalNamingResources, "org.apache.catalina.deploy.NamingResourcesImpl", Idle, ""),
];
